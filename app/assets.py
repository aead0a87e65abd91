"""The browser's files: gathered into `DATA_DIR/assets` under names that carry their content's hash.

Bootstrap's CSS comes out of the installed bootstrap-flask, htmx out of the one wheel that
`requirements-browser.txt` pins by hash, the rest is ours in `app/static`. None of what others wrote is
committed, and none of it is asked of a server elsewhere when a page is drawn.

    python -m app.assets
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

from whitenoise.compress import Compressor

from app.config import Settings

HASHED_NAME = r"\.[0-9a-f]{12}\.[a-z0-9]+$"
"""What the end of every served name looks like; whatever matches may be kept by a browser for ever."""

_HERE = Path(__file__).parent
_OURS = _HERE / "static"
_PINS = _HERE.parent / "requirements-browser.txt"
# Beside the installed packages: fetched once per virtual environment, then no network is needed any more.
_FETCHED = Path(sys.prefix) / "share" / "spheremail"
_MANIFEST = "manifest.json"


class AssetsMissing(SystemExit):
    """A browser file is not where it should be; the text says what to do."""


def build(data_dir: Path) -> dict[str, str]:
    """Bring `data_dir/assets` up to date and return its manifest, plain name to hashed name.

    Fast when nothing changed. May run beside a server that serves the folder, and beside itself: each file
    appears whole or not at all, and the files of the manifest before this one stay, for pages that are open.
    """
    folder = data_dir / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    before = _read(folder)
    manifest = {}
    # On the same disk, so that each file moves into place in one step, and not where the web server looks.
    with tempfile.TemporaryDirectory(dir=data_dir) as workshop:
        for name, content in _sources().items():
            manifest[name] = _hashed(name, content)
            if not (folder / manifest[name]).exists():
                _place(content, folder / manifest[name], Path(workshop), compress=True)
        if manifest != before:
            text = json.dumps(manifest, indent=1, sort_keys=True)
            _place(text.encode(), folder / _MANIFEST, Path(workshop), compress=False)
            _remove_others(folder, keep={_MANIFEST, *manifest.values(), *before.values()})
    return manifest


def load_manifest(data_dir: Path) -> dict[str, str]:
    """Plain name to hashed name of every browser file; stops the start with a sentence when there is none."""
    manifest = _read(data_dir / "assets")
    if not manifest:
        raise AssetsMissing(f"No browser files in {data_dir / 'assets'}: run python -m app.assets")
    return manifest


def asset_url(manifest: dict[str, str], name: str) -> str:
    """The address of a browser file, as in `asset("app.css")`; a name that is not there is a KeyError."""
    return f"/static/{manifest[name]}"


def _sources() -> dict[str, bytes]:
    bootstrap = files("flask_bootstrap") / "static" / "bootstrap5" / "css" / "bootstrap.min.css"
    # The map that its last line points to is 200 kB for nobody; without the line no browser asks for it.
    found = {"bootstrap.min.css": re.sub(rb"/\*# sourceMappingURL=.*?\*/\s*$", b"", bootstrap.read_bytes())}
    with ZipFile(_browser_wheel()) as wheel:
        found["htmx.min.js"] = wheel.read("django_htmx/static/django_htmx/htmx-2.min.js")
    for path in sorted(_OURS.rglob("*")):
        if path.is_file():
            found[path.relative_to(_OURS).as_posix()] = path.read_bytes()
    return found


def _browser_wheel() -> Path:
    """The wheel named in requirements-browser.txt, fetched by pip if this environment has not got it yet."""
    pin = re.search(r"^([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", _PINS.read_text(), re.MULTILINE)
    if pin is None:
        raise AssetsMissing(f"{_PINS.name} names no package with its hash")
    name, version, sha256 = pin.groups()
    wheel = _FETCHED / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    if wheel.exists() and hashlib.sha256(wheel.read_bytes()).hexdigest() == sha256:
        return wheel
    _FETCHED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FETCHED) as folder:
        download = ["-m", "pip", "download", "-qq", "--no-deps", "--require-hashes"]
        fetched = subprocess.run([sys.executable, *download, "--dest", folder, "--requirement", _PINS], check=False)
        if fetched.returncode:
            raise AssetsMissing(f"pip could not download {name} {version}, which brings htmx; it says why above")
        (Path(folder) / wheel.name).replace(wheel)
    return wheel


def _hashed(name: str, content: bytes) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}{dot}{suffix}"


def _place(content: bytes, path: Path, workshop: Path, *, compress: bool) -> None:
    """Put a file in its place whole; its compressed variant goes first, so whoever sees one sees both."""
    fresh = workshop / path.name
    fresh.write_bytes(content)
    variants = Compressor(quiet=True).compress(str(fresh)) if compress else []
    path.parent.mkdir(parents=True, exist_ok=True)
    for ready in [*map(Path, variants), fresh]:
        ready.replace(path.with_name(ready.name))


def _read(folder: Path) -> dict[str, str]:
    try:
        manifest: dict[str, str] = json.loads((folder / _MANIFEST).read_text())
    except FileNotFoundError:
        return {}
    return manifest


def _remove_others(folder: Path, keep: set[str]) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix().removesuffix(".gz") not in keep:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    settings = Settings.read()
    print(f"{len(build(settings.data_dir))} browser files in {settings.data_dir / 'assets'}")

"""The browser's files: hashed names, one fetch, a quick second build."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app import assets


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    assets.build(data_dir)
    return data_dir


def test_every_name_carries_the_hash_that_lets_a_browser_keep_it(built: Path) -> None:
    manifest = assets.load_manifest(built)
    assert {"bootstrap.min.css", "htmx.min.js", "tokens.css", "app.css", "app.js"} <= manifest.keys()
    assert all(re.search(assets.HASHED_NAME, name) for name in manifest.values())
    assert all((built / "assets" / name).is_file() for name in manifest.values())


def test_htmx_is_of_the_second_generation(built: Path) -> None:
    script = (built / "assets" / assets.load_manifest(built)["htmx.min.js"]).read_text()
    assert re.search(r'version:"2\.0\.\d+"', script)


def test_a_compressed_variant_lies_beside_its_file(built: Path) -> None:
    css = built / "assets" / assets.load_manifest(built)["bootstrap.min.css"]
    assert gzip.decompress(css.with_name(css.name + ".gz").read_bytes()) == css.read_bytes()


def test_bootstrap_points_to_no_map_that_is_not_served(built: Path) -> None:
    assert b"sourceMappingURL" not in (built / "assets" / assets.load_manifest(built)["bootstrap.min.css"]).read_bytes()


def test_an_address_is_made_of_the_hashed_name() -> None:
    assert assets.asset_url({"app.css": "app.0123456789ab.css"}, "app.css") == "/static/app.0123456789ab.css"


def test_a_second_build_writes_nothing(built: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (built / "assets").iterdir()}
    assets.build(built)
    assert {path: path.stat().st_mtime_ns for path in (built / "assets").iterdir()} == before


def test_a_changed_file_gets_a_new_name_and_the_one_before_stays_for_open_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "static"
    ours.mkdir()
    monkeypatch.setattr(assets, "_OURS", ours)
    names = []
    for colour in ("red", "green", "blue"):
        (ours / "app.css").write_text(f"body {{ color: {colour} }}")
        names.append(assets.build(tmp_path)["app.css"])
    there = {path.name for path in (tmp_path / "assets").iterdir()}
    assert len(set(names)) == 3
    assert there & set(names) == set(names[1:])


def test_without_browser_files_the_sentence_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(assets.AssetsMissing, match=r"run python -m app\.assets"):
        assets.load_manifest(tmp_path)


def test_a_spoilt_download_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = assets._browser_wheel()
    (tmp_path / good.name).write_bytes(b"something else")
    monkeypatch.setattr(assets, "_FETCHED", tmp_path)

    def download(command: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        assert "--require-hashes" in command
        shutil.copy(good, Path(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", download)
    assert assets._browser_wheel().read_bytes() == good.read_bytes()


def test_a_failed_download_stops_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "_FETCHED", tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda command, check: subprocess.CompletedProcess(command, 1))
    with pytest.raises(assets.AssetsMissing, match="could not download django-htmx"):
        assets.build(tmp_path)


def test_the_manifest_is_json_that_other_tools_can_read(built: Path) -> None:
    assert json.loads((built / "assets" / "manifest.json").read_text()) == assets.load_manifest(built)

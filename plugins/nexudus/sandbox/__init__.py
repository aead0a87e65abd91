"""A Nexudus to try against: an app of its own that answers as the public documentation says and as was seen.

It shares no code with the plugin, and nothing of the product imports it. Start it with
`python -m plugins.nexudus.sandbox`; tests mount it in process with `adapter.SandboxAdapter`.
"""

from pathlib import Path

from flask import Flask

from plugins.nexudus.sandbox import auth, commands, control, pages, pipeline, printing, rest, seed
from plugins.nexudus.sandbox.faults import Faults
from plugins.nexudus.sandbox.limits import Limits
from plugins.nexudus.sandbox.space import EXTENSION, Space
from plugins.nexudus.sandbox.store import Store


def create_sandbox(
    store_path: Path | None, *, profile: str = "current", limits: str = "documented", demo: bool = False
) -> Flask:
    """The sandbox over the store at `store_path` (None: in memory), filled if it is empty.

    `profile` "current" refuses to create invoice documents, "classic-2020" takes them; `limits` is "documented"
    or "off"; `demo` fills an empty store with people.
    """
    app = pipeline.SandboxApp(__name__)
    here = Space(store=Store(store_path), profile=profile, faults=Faults(), limits=Limits(limits))
    app.extensions[EXTENSION] = here
    with app.app_context():
        if here.get("seeded", "seeded") is None:
            seed.fill(here, demo=demo)
    for module in (auth, commands, rest, printing, control, pages):
        app.register_blueprint(module.pages)
    return app

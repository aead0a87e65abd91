"""Starting: what a fresh process takes to import the app and to build it, beside importing Flask."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.stage import Sizes, Stages, data_folder
from benchmarks.table import Measured

FLASK = "import flask"
HOST = "import app"
WHOLE = """
import sys
from app import create_app
from app.config import Settings
create_app(Settings.read(_env_file=None, data_dir=sys.argv[1]))
"""


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    yardstick = _median(FLASK, sizes.starts)
    for what, program in (("import app", HOST), ("build the app with its plugins", WHOLE)):
        yield Measured(f"start: {what}", _median(program, sizes.starts), FLASK, yardstick, 1)


def _median(program: str, times: int) -> float:
    """Seconds of a fresh process that runs `program`; a first one, not counted, leaves its bytecode behind."""
    with data_folder() as folder:
        return median([_once(program, folder) for _ in range(times + 1)][1:])


def _once(program: str, folder: Path) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program, folder], check=True)
    return time.perf_counter() - begun

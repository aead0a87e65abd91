"""A clock that a test moves: the present is the machine's, shifted by the seconds that a file names.

Only what the product calls "now" is shifted. Pauses, time limits and TLS go by the machine's own time, as they would.
"""

import os
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "MOVED_CLOCK"


def set_to(moment: datetime, file: Path) -> None:
    """From now on it is `moment` wherever `file` is followed."""
    shift = moment - datetime.now(moment.tzinfo)  # noqa: TID251  # the machine's time is what is shifted
    beside = file.with_suffix(".new")
    beside.write_text(str(shift.total_seconds()))
    beside.replace(file)  # nobody reads half of it


def follow(clock: ModuleType, file: Path | None = None) -> None:
    """Let the module `clock` read the time so."""
    place = file or Path(os.environ[NAME])  # noqa: TID251  # how the processes of one test are told

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=float(place.read_text()))  # noqa: TID251  # as above

    vars(clock)["datetime"] = Shifted

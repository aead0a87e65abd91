"""What `make run` does: everything from an empty folder to a page that answers, and all of it away again.

    python -m app.starter

The starter prepares (ports, browser files, Redis, database, demo data), starts `app/procfile.py`, says where to
look, and waits. However it ends, it leaves no process behind: orphans come to it, because it asked Linux for
them, and it ends them; if the starter itself is killed, its children hear of it (see `ends_with_parent`).
"""

import os
import signal
from pathlib import Path

from app.config import Settings
from app.embedded import ends_with_parent

ROOT = Path(__file__).parent.parent
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_ORPHANS_S = 5.0  # for what is left to end by itself before it is killed
_READY_S = 60.0


def main() -> int:
    """Start everything, wait until it ends, answer what `sys.exit` wants."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup is respected
            signal.signal(number, _leave)
    if options.end_with_parent:
        ends_with_parent(os.getppid())()
    settings = Settings.read()

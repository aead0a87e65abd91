"""Runs the Procfile under honcho: when one process ends, all end, and the last line says which it was.

A program of its own, started by `app/starter.py`: should the starter be killed, this one gets SIGTERM and ends
its processes in order. It imports nothing of the product, to stay small; each further line to run beside the
Procfile is an argument (`"sandbox: python -m ..."`).
"""

import re
import sys
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile
from honcho.manager import SYSTEM_PRINTER_NAME, Manager
from honcho.printer import Printer

ENDED_BY_SIGNAL = {130, 143}
"""What honcho answers after SIGINT and SIGTERM: somebody wanted it to end."""


class _QuietPrinter(Printer):
    """Prints what the processes say; of honcho's own remarks it keeps the one that matters, who ended first."""

    first_to_end: tuple[str, str] | None = None

    def write(self, message: Any) -> None:
        if message.name != SYSTEM_PRINTER_NAME:
            super().write(message)
        elif self.first_to_end is None and (end := re.match(r"(\S+) stopped \(rc=(-?\d+)\)", message.data)):
            self.first_to_end = end[1], end[2]


def main(*further: str) -> int:
    """Run until one process ends or a signal comes; answer what `sys.exit` wants."""
    procfile = Path(__file__).parent.parent / "Procfile"
    printer = _QuietPrinter(sys.stdout)
    manager = Manager(printer)
    for name, command in parse_procfile("\n".join([procfile.read_text(), *further])).processes.items():
        manager.add_process(name, command, cwd=procfile.parent)
    manager.loop()
    if manager.returncode in ENDED_BY_SIGNAL:
        return 0
    assert printer.first_to_end
    print("{} ended with {}, so everything else was ended too.".format(*printer.first_to_end), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

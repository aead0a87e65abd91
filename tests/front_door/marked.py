"""Finds the processes a test started, however far down, by a mark that they carry."""

import os
import re
import signal
import uuid
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Mark:
    """Put `environment` into a process, and all its descendants carry the mark.

    A server that rewrites its own title loses its environment over it: let `value` stand in its arguments too.
    """

    value: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TEST_MARK": self.value}  # noqa: TID251  # handed on, not read

    def processes(self) -> dict[int, str]:
        """Number and command line of every living process with this mark."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if self.value in line or self.value.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = line
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended meanwhile, or is somebody else's
        return found

    def kill(self, program: str) -> None:
        """End the oldest process whose command line begins with this pattern, as a power cut would."""
        victim = min(number for number, line in self.processes().items() if re.match(program, line))
        os.kill(victim, signal.SIGKILL)

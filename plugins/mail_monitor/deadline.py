"""Reading from a socket until a fixed moment: a server that drips single bytes ends no later than a silent one."""

import io
import socket
import time
from typing import Any

IDLE_S = 20.0


class Deadlined(io.RawIOBase):
    """The reading side of a connection. `ends` is by the monotonic clock and may be moved; then `TimeoutError`."""

    def __init__(self, connection: socket.socket, ends: float) -> None:
        self._connection = connection
        self.ends = ends
        self.is_paused = False  # answers that nothing is there: to see what was read ahead
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.is_paused:
            return None
        self._connection.settimeout(self.left())
        count = self._connection.recv_into(buffer)
        self.bytes_read += count
        return count

    def left(self) -> float:
        """How long the next step may wait."""
        left = min(self.ends - time.monotonic(), IDLE_S)
        if left <= 0:
            raise TimeoutError("the time for this connection is over")
        return left

"""Reading from a socket until a fixed moment and up to a fixed amount.

A server that drips single bytes ends no later than a silent one, and one that talks on and on fills no memory.
"""

import io
import socket
import time
from typing import Any

IDLE_S = 20.0


class Deadlined(io.RawIOBase):
    """The reading side of a connection. `ends`, by the monotonic clock, and `most`, in bytes, may be moved.

    After the one it raises `TimeoutError`, beyond the other `ConnectionError`.
    """

    def __init__(self, connection: socket.socket, ends: float, most: int) -> None:
        self._connection = connection
        self.ends = ends
        self.most = most
        self.is_paused = False  # answers that nothing is there: to see what was read ahead
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.is_paused:
            return None
        if self.bytes_read > self.most:
            raise ConnectionError(f"more than {self.most} bytes came")
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

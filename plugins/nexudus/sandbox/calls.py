"""What was called: how often each kind of call, so that a test can say "one listing", and the last calls one by one."""

import re
import threading
from collections import Counter, deque

from plugins.nexudus.sandbox import clock
from plugins.nexudus.sandbox.store import Record

KEPT = 500

_NUMBER = re.compile(r"/\d+(?=/|$)")


class Calls:
    """Counts calls as "GET /api/spaces/coworkers/{id}", refused ones too, and keeps the last with their outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last: deque[Record] = deque(maxlen=KEPT)

    def note(self, method: str, path: str) -> None:
        with self._lock:
            self._counts[f"{method} {_NUMBER.sub('/{id}', path.rstrip('/'))}"] += 1

    def ended(self, method: str, path: str, status: int, *, command: str | None, lost: str | None) -> None:
        """Keep what became of a call; `lost` says whether its "request" or its "answer" never arrived."""
        call = {"at": clock.written(clock.now()), "method": method, "path": path}
        with self._lock:
            self._last.append(call | {"status": None if lost else status, "lost": lost, "command": command})

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._counts.items()))

    def last(self) -> list[Record]:
        """The last calls, the newest first."""
        with self._lock:
            return list(reversed(self._last))

    def reset(self) -> None:
        with self._lock:
            self._counts.clear()
            self._last.clear()

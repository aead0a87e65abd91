"""How often each call was made, so that a test can say "one listing, no search per customer"."""

import re
import threading
from collections import Counter

_NUMBER = re.compile(r"/\d+(?=/|$)")


class Calls:
    """Counts calls as "GET /api/spaces/coworkers/{id}" and writes that were carried out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def note(self, method: str, path: str) -> None:
        with self._lock:
            self._counts[f"{method} {_NUMBER.sub('/{id}', path.rstrip('/'))}"] += 1

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._counts.items()))

    def reset(self) -> None:
        with self._lock:
            self._counts.clear()

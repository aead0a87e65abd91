"""The documented limits on calls, and the seen one on new coworkers (https://developers.nexudus.com/reference/api-limitations)."""

import threading
from collections import deque
from datetime import date, datetime, timedelta

from plugins.nexudus.sandbox import clock

CREATIONS_A_DAY = 50
DAY = timedelta(days=1)

# (calls, in this time, writes only)
DOCUMENTED: tuple[tuple[int, timedelta, bool], ...] = (
    (1, timedelta(milliseconds=100), False),
    (120, timedelta(minutes=1), False),
    (5000, timedelta(hours=1), False),
    (200_000, DAY, False),
    (60, timedelta(minutes=1), True),
    (5000, DAY, True),
)


class Limits:
    """Counts calls of the whole account; `mode` is "documented" or "off"."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget every call that was counted."""
        with self._lock:
            self._past = {limit: deque[datetime]() for limit in DOCUMENTED}
            self._created_on: tuple[date | None, int] = (None, 0)

    def wait_for_call(self, *, is_write: bool) -> float:
        """Count a call; how many seconds it comes too early, 0 when it is in time. A refused call counts nothing."""
        if self.mode == "off":
            return 0
        moment = clock.now()
        with self._lock:
            mine = [limit for limit in DOCUMENTED if is_write or not limit[2]]
            wait = max(_wait(self._past[limit], limit[0], limit[1], moment) for limit in mine)
            if not wait:
                for limit in mine:
                    self._past[limit].append(moment)
            return wait

    def may_create_coworker(self, cap: int | None) -> bool:
        """Count a new coworker, unless the day, in UTC, has had its share: `cap`, or the seen one under limits."""
        most = cap if cap is not None else (CREATIONS_A_DAY if self.mode == "documented" else None)
        today = clock.now().date()
        with self._lock:
            day, count = self._created_on
            count = count if day == today else 0
            if most is not None and count >= most:
                return False
            self._created_on = (today, count + 1)
            return True


def _wait(past: "deque[datetime]", most: int, span: timedelta, moment: datetime) -> float:
    """Seconds until another call fits into `span`."""
    while past and past[0] <= moment - span:
        past.popleft()
    return 0 if len(past) < most else (past[-most] + span - moment).total_seconds()

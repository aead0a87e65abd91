"""A child process that reads mail: it may run out of time or memory and die, and nobody else does."""

import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from app.embedded import ends_with_parent
from plugins.mail_monitor import parsing, safe_html
from plugins.mail_monitor.letters import Envelope, Letter, SafeHtml, Unreadable

CPU_S = 20
WALL_S = 40
MEMORY = 1024 * 1024 * 1024

Answer = TypeVar("Answer")


class ParserDied(Exception):
    """The child was killed by a limit or from outside, or gave up, while it read what it was given."""


class Parser:
    """One child process at a time, made when it is needed and again after it died. Use it as a context manager."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def envelopes(self, blocks: Sequence[bytes]) -> list[Envelope]:
        """What each header block says; raises `ParserDied`."""
        return self.end_envelopes(self.begin_envelopes(blocks))

    def begin_envelopes(self, blocks: Sequence[bytes]) -> "Future[list[Envelope]]":
        """Let the child read header blocks while the caller does something else; `end_envelopes` waits."""
        return self._begin(parsing.read_envelopes, blocks)

    def end_envelopes(self, reading: "Future[list[Envelope]]") -> list[Envelope]:
        """What the header blocks say that `begin_envelopes` was given; raises `ParserDied`."""
        return self._wait(reading)

    def letters(self, raws: Sequence[bytes]) -> list[Letter | Unreadable]:
        """What is in each mail; raises `ParserDied`."""
        return self._wait(self.begin_letters(raws))

    def begin_letters(self, raws: Sequence[bytes]) -> "Future[list[Letter | Unreadable]]":
        """Let the child read while the caller does something else; `end_letters` waits for the answer."""
        return self._begin(parsing.read_letters, raws)

    def end_letters(self, reading: "Future[list[Letter | Unreadable]]") -> list[Letter | Unreadable]:
        """What is in the mails that `begin_letters` was given; raises `ParserDied`."""
        return self._wait(reading)

    def beginning(self, head: bytes, beginning: bytes) -> Letter:
        """What the header and the first bytes of a large mail say; raises `ParserDied`."""
        return self._wait(self._begin(parsing.read_beginning, head, beginning))

    def safe(self, raws: Sequence[bytes]) -> list[SafeHtml]:
        """The HTML of each mail as it may be shown; raises `ParserDied`."""
        return self._wait(self._begin(safe_html.make_safe, raws))

    def _begin(self, read: Callable[..., Answer], *arguments: Any) -> "Future[Answer]":
        if self._pool is None:
            # Forked, because a fresh interpreter would import the whole host to read one mail.
            context = multiprocessing.get_context("fork")
            self._pool = ProcessPoolExecutor(
                max_workers=1, mp_context=context, initializer=_become_a_child, initargs=(ends_with_parent(),)
            )
        try:
            return self._pool.submit(_within_limits, read, *arguments)
        except BrokenProcessPool as error:
            self._end()
            raise ParserDied from error

    def _wait(self, reading: "Future[Answer]") -> Answer:
        try:
            return reading.result()
        except (BrokenProcessPool, CancelledError, MemoryError) as error:
            self._end()
            raise ParserDied from error
        except Exception as error:
            # Whatever a hostile mail breaks in the reader comes to the same as if it had died of it.
            raise ParserDied from error

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _become_a_child(tie_to_parent: Callable[[], None]) -> None:
    tie_to_parent()
    for number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this child
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _within_limits(read: Callable[..., Answer], *arguments: Any) -> Answer:
    """Read with a limit on time that the kernel keeps, also while code that is not Python runs."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hardest = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S, hardest))
    signal.setitimer(signal.ITIMER_REAL, WALL_S)
    try:
        return read(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)

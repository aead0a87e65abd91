"""A measurement beside its yardstick, and the table that shows them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """What took how long, and how long the least that the same work could cost took in the same run (seconds)."""

    what: str
    seconds: float
    yardstick: str
    yardstick_s: float
    rows: int
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        ratio = self.seconds / self.yardstick_s if self.yardstick_s else float("inf")
        return (
            self.what,
            duration(self.seconds),
            duration(self.yardstick_s),
            f"{ratio:,.1f}" if ratio < 100 else f"{ratio:,.0f}",
            f"{self.rows / self.seconds:,.0f}" if self.seconds else "-",
            self.yardstick,
            self.note,
        )


HEADING = ("what", "product", "yardstick", "ratio", "rows/s", "the yardstick is", "notes")
WIDTHS = (52, 10, 10, 8, 9, 40, 0)
RIGHT = range(1, 5)


def show(rows: Iterable[Measured]) -> None:
    """Print each row as soon as it is measured."""
    print(_line(HEADING))
    print(_line(tuple("-" * len(word) for word in HEADING)))
    for row in rows:
        print(_line(row.cells()), flush=True)


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    if seconds >= 0.001:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1_000_000:.0f} µs"


def _line(cells: tuple[str, ...]) -> str:
    padded = (
        f"{cell:>{width}}" if column in RIGHT else f"{cell:<{width}}"
        for column, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return "  ".join(padded).rstrip()

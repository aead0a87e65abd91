"""Charts as plain data, and where their shapes stand: bars over time, and how a whole falls into parts.

Templates draw them as SVG with attributes only (`macros/charts.html`). A row of bars is 264 by 150 units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

WIDTH, HEIGHT = 264, 150
TOP, BOTTOM = 16, 20  # room for the figures above the bars and for the words below them
GAP = 0.32  # of a bar's place

Fill = Literal["there", "paid", "waiting", "unknown", "held", "received", "sent", "planned"]


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of thing that a chart counts; `below` draws it under the line."""

    key: str
    label: str
    fill: Fill
    below: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One period: its word and how much of each series; `figure` stands on top, `is_open` is not over yet."""

    label: str
    values: Mapping[str, int]
    figure: str = ""
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the drawing."""

    x: float
    y: float
    width: float
    height: float
    fill: str


@dataclass(frozen=True, slots=True)
class Word:
    """A text of the drawing, centred at x."""

    x: float
    y: float
    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars over time, stacked in the order of `series`; what a person reads stands in a table behind it."""

    title: str
    series: Sequence[Series]
    bars: Sequence[Bar]
    note: str = ""

    @property
    def is_empty(self) -> bool:
        return not any(value for bar in self.bars for value in bar.values.values())

    @property
    def baseline(self) -> float:
        """The height at which the bars stand; what is `below` hangs from it."""
        return TOP + self._unit * self._most(below=False)

    @property
    def boxes(self) -> list[Box]:
        place = WIDTH / max(1, len(self.bars))
        found = []
        for number, bar in enumerate(self.bars):
            x, width = number * place + place * GAP / 2, place * (1 - GAP)
            up = down = self.baseline
            for one in self.series:
                height = bar.values.get(one.key, 0) * self._unit
                if not height:
                    continue
                if one.below:
                    found.append(Box(_round(x), _round(down), _round(width), _round(height), one.fill))
                    down += height
                else:
                    up -= height
                    found.append(Box(_round(x), _round(up), _round(width), _round(height), one.fill))
        return found

    @property
    def words(self) -> list[Word]:
        """Words below the bars (of many, only every so often) and figures above them; the last one is bold."""
        place, last = WIDTH / max(1, len(self.bars)), len(self.bars) - 1
        every = max(1, round(len(self.bars) / 4)) if len(self.bars) > 8 else 1
        found = []
        for number, bar in enumerate(self.bars):
            x = _round(number * place + place / 2)
            if (last - number) % every == 0:
                found.append(Word(x, HEIGHT - 6, bar.label, strong=number == last))
            if bar.figure:
                top = self.baseline - self._unit * self._height_of(bar, below=False)
                found.append(Word(x, _round(top - 4), bar.figure, strong=number == last))
        return found

    @property
    def _unit(self) -> float:
        """Units of the drawing for each thing that is counted."""
        whole = self._most(below=False) + self._most(below=True)
        return (HEIGHT - TOP - BOTTOM) / whole if whole else 0

    def _most(self, *, below: bool) -> int:
        return max((self._height_of(bar, below=below) for bar in self.bars), default=0)

    def _height_of(self, bar: Bar, *, below: bool) -> int:
        return sum(bar.values.get(one.key, 0) for one in self.series if one.below == below)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a whole; those with a `url` lead to what they count."""

    label: str
    count: int
    fill: Fill
    url: str = ""


@dataclass(frozen=True, slots=True)
class ShareChart:
    """How a whole falls into parts: the first one is what the figure says."""

    title: str
    parts: Sequence[Part] = field(default_factory=tuple)

    @property
    def whole(self) -> int:
        return sum(part.count for part in self.parts)

    @property
    def boxes(self) -> list[Box]:
        found, x = [], 0.0
        for part in self.parts:
            width = WIDTH * part.count / self.whole if self.whole else 0
            if width:
                found.append(Box(_round(x), 0, _round(width), 22, part.fill))
            x += width
        return found


Chart = BarChart | ShareChart


def _round(value: float) -> float:
    return round(value, 2)

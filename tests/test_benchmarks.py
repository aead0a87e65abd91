"""The benchmarks still run, on a handful of rows; how long anything takes is never asked here."""

import re
from collections.abc import Iterator

import pytest

from benchmarks import exporting, importing, lists, matching, starting
from benchmarks.__main__ import main
from benchmarks.stage import Sizes, staged
from benchmarks.table import Measured, duration

FEW = Sizes(customers=40, invoices=80, members=20, exports=2, imported=5, requests=2, starts=1)


@pytest.mark.parametrize("subject", [matching, exporting, lists, importing, starting], ids=lambda one: one.__name__)
@pytest.mark.slow
def test_a_small_run_measures_the_product_and_its_yardstick(subject: object) -> None:
    rows: Iterator[Measured] = subject.measure(FEW, staged)  # type: ignore[attr-defined]
    for row in rows:
        assert row.seconds > 0, row
        assert row.yardstick_s > 0, row


@pytest.mark.slow
def test_no_page_asks_more_of_the_database_when_the_lists_are_longer() -> None:
    def queries(sizes: Sizes) -> dict[str, str]:
        found = {row.what: re.search(r"(\d+) queries", row.note) for row in lists.measure(sizes, staged)}
        return {what: match[1] for what, match in found.items() if match}

    few = queries(FEW)
    assert len(few) == len(lists.PAGES)
    assert queries(Sizes(customers=400, invoices=1600, requests=1)) == few


def test_the_table_names_time_yardstick_ratio_and_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(*sizes: object) -> Iterator[Measured]:
        yield Measured("carrying water", 0.5, "a bucket", 0.002, 100, "uphill")

    monkeypatch.setattr("benchmarks.__main__.SUBJECTS", {"water": measured})
    monkeypatch.setattr("sys.argv", ["benchmarks", "water", "--quick"])
    main()
    heading, _, row = capsys.readouterr().out.splitlines()
    assert heading.split()[:5] == ["what", "product", "yardstick", "ratio", "rows/s"]
    assert re.split(r"  +", row) == ["carrying water", "500.0 ms", "2.0 ms", "250", "200", "a bucket", "uphill"]


def test_a_database_that_holds_tables_is_left_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('taken') / 'taken.db'}"
    with staged(url), pytest.raises(SystemExit, match="holds tables already"), staged(url):
        pass


@pytest.mark.parametrize(("seconds", "text"), [(75, "75.0 s"), (0.0125, "12.5 ms"), (0.000042, "42 µs")])
def test_a_duration_is_told_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text

"""The benchmarks still run, on a handful of rows; how long anything takes is never asked here."""

import re
import shutil
from collections.abc import Iterator

import pytest

from benchmarks import board, exporting, importing, lists, matching, scanning, starting
from benchmarks.__main__ import main
from benchmarks.stage import Sizes, staged
from benchmarks.table import Measured, duration
from tests.mail_services import dovecot_program

FEW = Sizes(
    customers=40,
    invoices=80,
    members=20,
    exports=2,
    messages=100,  # the search finds one
    imported=5,
    requests=2,
    starts=1,
    mails=40,
    pairs=1,
    folder=50,
    queued=30,
    failed=30,
)


@pytest.mark.parametrize("subject", [matching, exporting, lists, importing, starting], ids=lambda one: one.__name__)
@pytest.mark.slow
def test_a_small_run_measures_the_product_and_its_yardstick(subject: object) -> None:
    rows: Iterator[Measured] = subject.measure(FEW, staged)  # type: ignore[attr-defined]
    for row in rows:
        assert row.seconds > 0, row
        assert row.yardstick_s > 0, row


@pytest.mark.slow
@pytest.mark.redis
def test_a_small_board_is_measured_too() -> None:
    rows = list(board.measure(FEW, staged))
    assert len(rows) == len(board.PAGES)
    assert all("30 wait, 30 failed" in row.note and row.seconds > 0 and row.yardstick_s > 0 for row in rows)


@pytest.mark.slow
@pytest.mark.dovecot
def test_a_small_mailbox_is_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("mbsync") or not dovecot_program():
        pytest.skip("Dovecot or mbsync is not installed (apt install dovecot-imapd isync)")
    monkeypatch.setattr(scanning, "django_python", lambda folder: None)
    found = {row.what: row for row in scanning.measure(FEW, staged)}
    for row in found.values():
        assert row.seconds > 0, row
        assert row.yardstick_s > 0, row
    assert "5 commands" in found["mail: nothing new among 50 messages"].note


@pytest.mark.slow
@pytest.mark.processes
def test_pages_are_measured_while_workers_are_busy_too() -> None:
    found = list(lists.measure_busy(FEW, staged))
    assert len(found) == len(lists.PAGES)
    assert all("without company" in row.note for row in found)


@pytest.mark.slow
def test_no_page_asks_more_of_the_database_when_the_lists_are_longer() -> None:
    def queries(sizes: Sizes) -> dict[str, str]:
        found = {row.what: re.search(r"(\d+) queries", row.note) for row in lists.measure(sizes, staged)}
        return {what: match[1] for what, match in found.items() if match}

    few = queries(FEW)
    assert len(few) == len(lists.PAGES)
    assert queries(Sizes(customers=400, invoices=1600, messages=2400, requests=1)) == few


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

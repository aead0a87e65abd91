"""`python -m benchmarks [SUBJECT ...]`: run the benchmarks and print them as a table. Nothing here can fail on time."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, replace

from benchmarks import board, exporting, importing, lists, mail_fleet, matching, scanning, starting
from benchmarks.stage import Sizes, Stage, Stages, staged
from benchmarks.table import Measured, show
from tests.services import postgres_programs, postgres_server

SUBJECTS: dict[str, Callable[[Sizes, Stages], Iterator[Measured]]] = {
    "matching": matching.measure,
    "export": exporting.measure,
    "lists": lists.measure,
    "busy": lists.measure_busy,
    "board": board.measure,
    "import": importing.measure,
    "mail": scanning.measure,
    "mailboxes": mail_fleet.measure,
    "start": starting.measure,
}


def main() -> None:
    options = _options()
    sizes = Sizes(**{one.name: getattr(options, one.name) for one in fields(Sizes)})
    if options.quick:
        sizes = replace(sizes, **{one.name: max(1, getattr(sizes, one.name) // 10) for one in fields(Sizes)})
    with _stages(options.database, postgres=options.postgres) as stages:
        show(row for name in options.subjects or SUBJECTS for row in SUBJECTS[name](sizes, stages))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"{', '.join(SUBJECTS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="a tenth of every size")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--database", metavar="URL", default="", help="an empty database instead of SQLite in a folder")
    where.add_argument("--postgres", action="store_true", help="a PostgreSQL server started for this run")
    for one in fields(Sizes):
        parser.add_argument(f"--{one.name}", type=int, default=one.default, help="default: %(default)s")
    options = parser.parse_args()
    unknown = sorted(set(options.subjects) - set(SUBJECTS))
    if unknown:
        parser.error(f"no such subject: {', '.join(unknown)}")
    return options


@contextmanager
def _stages(database_url: str, *, postgres: bool) -> Iterator[Stages]:
    """How every benchmark gets its stage: each on a database of its own, or one after the other on the one named."""
    if not postgres:
        yield lambda: staged(database_url)
        return
    if (programs := postgres_programs()) is None:
        raise SystemExit("PostgreSQL is not installed (apt install postgresql).")
    with postgres_server(programs) as server:

        def stage() -> AbstractContextManager[Stage]:
            return staged(server.new_database())

        yield stage


if __name__ == "__main__":
    main()

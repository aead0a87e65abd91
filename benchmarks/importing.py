"""Taking customers over from a CSV file, beside reading it and inserting its cells unseen."""

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.billing.models import Customer, CustomerStatus
from app.db import db, write_access
from benchmarks.stage import Sizes, Stage, Stages, customer_rows, insert
from benchmarks.table import Measured
from tests.visitors import apart


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    with stages() as stage:
        path = stage.app.config["SETTINGS"].data_dir / "customers.csv"
        _write(path, stage, sizes.imported)
        begun = time.perf_counter()
        insert(Customer, _read(path, stage))
        yardstick = time.perf_counter() - begun
        with write_access(), db.engine.begin() as connection:
            connection.execute(sa.delete(Customer))

        db.session.rollback()
        runner = stage.app.test_cli_runner()
        begun = time.perf_counter()
        result = apart(runner.invoke, args=["customers", "import", str(path), "--account", "acme"])
        product = time.perf_counter() - begun
        assert result.exit_code == 0, result.output
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == sizes.imported
    what = f"import: {sizes.imported:,} customers of a CSV file"
    yield Measured(what, product, "csv.DictReader and one executemany", yardstick, sizes.imported)


def _write(path: Path, stage: Stage, count: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "full_name", "company", "phone", "city", "country", "mailbox_number"))
        for number, row in enumerate(customer_rows(stage.cast, count)):
            writer.writerow((row["email"], row["full_name"], "Bench & Co", "+351 210 000 000", "Lisboa", "PT", number))


def _read(path: Path, stage: Stage) -> Iterator[dict[str, Any]]:
    account_id, location_id = stage.cast.acme.id, stage.cast.acme.locations[0].id
    with path.open(newline="") as file:
        for cells in csv.DictReader(file):
            yield {
                **cells,
                "account_id": account_id,
                "location_id": location_id,
                "email_key": cells["email"],
                "name_key": cells["full_name"],
                "search_key": cells["full_name"],
                "status": CustomerStatus.INACTIVE,
            }

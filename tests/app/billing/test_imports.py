import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from click.testing import Result

from app.billing.models import Customer, CustomerStatus, Invoice
from app.db import db
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell

CUSTOMERS = "email,full_name,company,phone,address,city,postcode,country,mailbox_number,location,status,signed_up_at"
INVOICES = "number,customer_email,created_at,due_on,currency,line_description,quantity,unit_price,tax_rate,status"
Import = Callable[..., dict[str, Any]]


@pytest.fixture
def take(cast: Cast, run_command: Callable[..., Result], tmp_path: Path) -> Import:
    """`take("customers", line, line)`: import these lines under the usual heading and read the answer."""

    def run(what: str, *lines: str, heading: str | None = None, account: str = "acme") -> dict[str, Any]:
        file = tmp_path / "rows.csv"
        file.write_text("\n".join([heading or {"customers": CUSTOMERS, "invoices": INVOICES}[what], *lines]) + "\n")
        result = run_command(what, "import", str(file), "--account", account, "--json")
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    return run


def customer(email: str) -> Customer:
    return db.session.scalars(sa.select(Customer).where(Customer.email_key == email)).one()


def invoice(number: str) -> Invoice:
    return db.session.scalars(sa.select(Invoice).where(Invoice.number == number)).one()


class TestCustomers:
    @pytest.mark.parametrize("between", [";", "\t"])
    def test_spreadsheets_that_part_cells_otherwise_are_read_too(self, take: Import, between: str) -> None:
        heading, line = ("email", "full_name", "city"), ("tamsin@quill.example", "Quill, Tamsin", "Lisboa")

        answer = take("customers", between.join(line), heading=between.join(heading))

        row = customer("tamsin@quill.example")
        assert answer == {"created": 1, "skipped": []}
        assert (row.full_name, row.city) == ("Quill, Tamsin", "Lisboa")

    def test_every_column_arrives(self, take: Import, cast: Cast) -> None:
        make.location(cast.acme, "Mill Lane")

        answer = take(
            "customers",
            "Tamsin@Quill.example,Tamsin Quill,Quill & Yarrow,+351 210,4 Reed Quay,Lisboa,1100-040,pt,2042,mill lane,"
            "locked,2024-03-14",
        )

        row = customer("tamsin@quill.example")
        assert answer == {"created": 1, "skipped": []}
        assert (row.full_name, row.company, row.phone) == ("Tamsin Quill", "Quill & Yarrow", "+351 210")
        assert (row.address, row.city, row.postcode, row.country) == ("4 Reed Quay", "Lisboa", "1100-040", "PT")
        assert (row.mailbox_number, row.location.name, row.status) == ("2042", "Mill Lane", "locked")
        assert row.signed_up_at == datetime(2024, 3, 14, tzinfo=UTC)

    def test_columns_may_be_left_out_and_come_in_any_order(self, take: Import) -> None:
        answer = take("customers", "Tamsin Quill,tamsin@quill.example", heading="full_name,email")

        assert answer["created"] == 1
        assert customer("tamsin@quill.example").status == "inactive"

    def test_an_active_customer_is_activated_as_by_the_button(self, take: Import, cast: Cast, bell: HeardBell) -> None:
        make.installation(cast.acme, "example")

        take("customers", "tamsin@quill.example,Tamsin Quill,,,,,,,,,active,")

        row = customer("tamsin@quill.example")
        assert (row.status, row.mailbox_number) == ("active", "1001")
        assert [name for name, *_ in bell.rings] == ["example.greet"]

    def test_a_bad_row_is_skipped_with_its_number_and_the_rest_is_taken(self, take: Import, cast: Cast) -> None:
        make.customer(cast.acme, "Oskar Penhallow", email="oskar@penhallow.example")

        answer = take(
            "customers",
            "no-email,Anna Ash,,,,,,,,,,",
            "oskar@penhallow.example,Oskar Again,,,,,,,,,,",
            "bella@birch.example,Bella Birch,,,,,,XX,,,,",
            "cara@cedar.example,Cara Cedar,,,,,,,,Nowhere,,",
            "dora@date.example,Dora Date,,,,,,,,,,yesterday",
            "ella@elm.example,Ella Elm,,,,,,,,,asleep,",
            f"fay@fir.example,{'x' * 10_000},,,,,,,,,,",
            "gail@gum.example,Gail,Gum,too,many,cells,in,this,row,for,the,heading,above",
            "tamsin@quill.example,Tamsin Quill,,,,,,,,,,",
        )

        assert answer["created"] == 1
        assert [one["row"] for one in answer["skipped"]] == [2, 3, 4, 5, 6, 7, 8, 9]
        reasons = " ".join(one["reason"] for one in answer["skipped"])
        for word in ("not an email", "Oskar Penhallow", "country", "Nowhere", "yesterday", "asleep", "room for 160"):
            assert word in reasons

    def test_a_nul_is_named_and_not_stored(self, take: Import) -> None:
        answer = take("customers", "tamsin@quill.example,Tamsin\0Quill,,,,,,,,,,")

        assert "U+0000" in answer["skipped"][0]["reason"]

    def test_the_same_file_twice_adds_nothing(self, take: Import) -> None:
        lines = ("tamsin@quill.example,Tamsin Quill,,,,,,,,,,", "benno@ash.example,Benno Ash,,,,,,,,,,")

        assert take("customers", *lines)["created"] == 2
        assert take("customers", *lines)["created"] == 0
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 2

    def test_a_file_without_the_column_email_is_refused_as_a_whole(self, take: Import) -> None:
        answer = take("customers", "Tamsin Quill", heading="full_name")

        assert answer == {"error": {"code": "invalid_input", "message": "The file has no column email."}}

    def test_an_unknown_account_is_an_error_of_its_own(self, take: Import) -> None:
        answer = take("customers", "tamsin@quill.example,Tamsin Quill,,,,,,,,,,", account="nobody")

        assert answer["error"]["code"] == "not_found"


class TestActivating:
    def test_all_activates_every_inactive_customer(self, cast: Cast, run_command: Callable[..., Result]) -> None:
        make.customer(cast.acme, email="a@quill.example", status=CustomerStatus.INACTIVE)
        make.customer(cast.acme, email="b@quill.example", status=CustomerStatus.INACTIVE)
        make.customer(cast.zenith, email="c@quill.example", status=CustomerStatus.INACTIVE)

        result = run_command("customers", "activate", "--account", "acme", "--all", "--json")

        assert json.loads(result.stdout) == {"activated": 2}
        assert customer("a@quill.example").mailbox_number == "1001"
        assert customer("b@quill.example").mailbox_number == "1002"
        assert customer("c@quill.example").status == "inactive"

    def test_one_is_named_by_email(self, cast: Cast, run_command: Callable[..., Result]) -> None:
        make.customer(cast.acme, email="a@quill.example", status=CustomerStatus.INACTIVE)

        result = run_command("customers", "activate", "--account", "acme", "--email", "A@quill.example", "--json")

        assert json.loads(result.stdout) == {"activated": 1}

    def test_an_unknown_email_is_an_error(self, cast: Cast, run_command: Callable[..., Result]) -> None:
        result = run_command("customers", "activate", "--account", "acme", "--email", "nobody@quill.example")

        assert result.exit_code == 1
        assert "No customer has the email" in result.stderr


class TestInvoices:
    @pytest.fixture(autouse=True)
    def tamsin(self, cast: Cast) -> Customer:
        return make.customer(cast.acme, email="tamsin@quill.example")

    def test_rows_of_one_number_become_one_invoice(self, take: Import) -> None:
        answer = take(
            "invoices",
            'X-1,TAMSIN@quill.example,2026-11-05,2026-11-19,EUR,"Business 12, November",1,39.00,23,pending',
            'X-1,tamsin@quill.example,,,,Parcel,1.5,"4,50",23,',
        )

        row = invoice("X-1")
        assert answer == {"created": 1, "skipped": []}
        assert [line.description for line in row.lines] == ["Business 12, November", "Parcel"]
        assert (row.net_minor, row.tax_minor, row.total_minor) == (3900 + 675, 897 + 155, 5627)
        assert (row.status, str(row.due_on)) == ("pending", "2026-11-19")

    def test_a_day_begins_when_it_begins_in_the_accounts_zone(self, take: Import, cast: Cast) -> None:
        take("invoices", "X-1,tamsin@quill.example,2026-07-01,,,Storage,1,10,23,")

        assert invoice("X-1").created_at == datetime(2026, 6, 30, 23, tzinfo=UTC)  # Lisbon is an hour ahead in summer

    def test_a_moment_is_taken_as_written(self, take: Import) -> None:
        take("invoices", "X-1,tamsin@quill.example,2026-07-01T10:00:00+05:00,,,Storage,1,10,23,")

        assert invoice("X-1").created_at == datetime(2026, 7, 1, 5, tzinfo=UTC)

    @time_machine.travel(datetime(2026, 11, 22, 9, 30, tzinfo=UTC), tick=False)
    def test_no_moment_is_now(self, take: Import) -> None:
        take("invoices", "X-1,tamsin@quill.example,,,,Storage,1,10,23,")

        assert invoice("X-1").created_at == datetime(2026, 11, 22, 9, 30, tzinfo=UTC)

    @pytest.mark.parametrize("status", ["draft", "pending", "paid", "void"])
    def test_the_status_is_kept(self, take: Import, status: str) -> None:
        take("invoices", f"X-1,tamsin@quill.example,2026-11-05,,,Storage,1,10,23,{status}")

        assert invoice("X-1").status == status

    def test_nothing_is_closed_by_an_import(self, take: Import) -> None:
        answer = take("invoices", "X-1,tamsin@quill.example,2026-11-05,,,Storage,1,10,23,closed")

        assert answer["created"] == 0
        assert "handing it over" in answer["skipped"][0]["reason"]

    def test_one_bad_line_keeps_its_whole_invoice_out(self, take: Import) -> None:
        answer = take(
            "invoices",
            "X-1,tamsin@quill.example,,,,Storage,1,10,23,",
            "X-2,tamsin@quill.example,,,,Storage,1,10,23,",
            "X-1,tamsin@quill.example,,,,Parcel,many,10,23,",
        )

        assert answer["created"] == 1
        assert answer["skipped"] == [
            {"row": 2, "reason": "Row 4 of this invoice cannot be taken."},
            {"row": 4, "reason": "“many” is not a number."},
        ]
        assert db.session.scalars(sa.select(Invoice.number)).all() == ["X-2"]

    @pytest.mark.parametrize(
        ("line", "word"),
        [
            (",tamsin@quill.example,,,,Storage,1,10,23,", "needs a number"),
            ("X-1,nobody@quill.example,,,,Storage,1,10,23,", "No customer"),
            ("X-1,tamsin@quill.example,,soon,,Storage,1,10,23,", "no day"),
            ("X-1,tamsin@quill.example,0001-01-01,,,Storage,1,10,23,", "no day or moment"),
            ("X-1,tamsin@quill.example,,,EURO,Storage,1,10,23,", "no currency"),
            ("X-1,tamsin@quill.example,,,,,1,10,23,", "what is billed"),
            ("X-1,tamsin@quill.example,,,,Storage,1,10,23,late", "none of"),
            ("A-7,tamsin@quill.example,,,,Storage,1,10,23,", "A-7 already"),
        ],
    )
    def test_what_is_wrong_is_said(self, take: Import, tamsin: Customer, line: str, word: str) -> None:
        make.invoice(tamsin, number="A-7")

        answer = take("invoices", line)

        assert answer["created"] == 0
        assert word in answer["skipped"][0]["reason"]

    def test_our_own_numbering_goes_on_behind_imported_numbers(self, take: Import, cast: Cast) -> None:
        take("invoices", "A-1005,tamsin@quill.example,,,,Storage,1,10,23,")

        assert cast.acme.next_invoice_number == 1006

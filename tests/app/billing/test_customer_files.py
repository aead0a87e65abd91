import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.models import User
from app.audit import AuditEntry
from app.billing import customer_files
from app.billing.models import Customer, CustomerStatus
from app.db import db
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor, counted_queries

FILE = """email,full_name,company,mailbox_number,status
tamsin@quill.example,Tamsin Quill,"Quill, Yarrow",1042,active
not an email,Nobody,,,
viktor@longmeadow.example,Viktor Longmeadow,,1042,inactive
taken@quill.example,Somebody Else,,,
"""


@pytest.fixture
def ben(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    make.customer(cast.acme, "Taken", email="taken@quill.example")
    return sign_in(cast.ben)


def upload(visitor: Visitor, content: str | bytes, name: str = "people.csv") -> Any:
    raw = content if isinstance(content, bytes) else content.encode()
    return visitor.post("/acme/customers/import", data={"file": (io.BytesIO(raw), name)})


def confirm(visitor: Visitor, text: str) -> Any:
    return visitor.post("/acme/customers/import", data={"text": text})


def emails() -> set[str]:
    return set(db.session.scalars(sa.select(Customer.email)))


class TestImporting:
    def test_every_row_has_its_verdict_and_nothing_is_stored_or_rung(
        self, ben: Visitor, cast: Cast, bell: HeardBell
    ) -> None:
        make.installation(cast.acme, "example")

        page = upload(ben, FILE).text

        assert "“not an email” is not an email address." in page
        assert "Tamsin Quill has this number already." in page, "a number that another row of the file takes"
        assert "Taken has this email already." in page
        assert "Add 1 customer" in page
        assert emails() == {"taken@quill.example"}
        assert bell.rings == []
        assert db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "customer_added")).all() == []

    def test_what_was_looked_at_is_taken_when_somebody_confirms(
        self, ben: Visitor, cast: Cast, bell: HeardBell
    ) -> None:
        make.installation(cast.acme, "example")

        answer = confirm(ben, FILE.replace("\n", "\r\n"))

        assert answer.location == "/acme/customers?status=all"
        assert "1 customer is added, 3 rows were skipped." in ben.get(answer.location).text
        row = db.session.scalars(sa.select(Customer).where(Customer.email == "tamsin@quill.example")).one()
        assert (row.status, row.mailbox_number) == (CustomerStatus.ACTIVE, "1042")
        assert [ring[0] for ring in bell.rings] == ["example.greet"]

    def test_confirming_twice_adds_once(self, ben: Visitor) -> None:
        confirm(ben, FILE)

        answer = confirm(ben, FILE)

        assert "0 customers are added, 4 rows were skipped." in ben.get(answer.location).text

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"", "has no column email"),
            (b"email,full_name\n", "has no rows below its heading"),
            (b"name\nTamsin\n", "has no column email"),
            (b"email,full_name\n\xff\xfe,x\n", "is not written in UTF-8"),
            (b"email,full_name\n" + b"x" * 400_001, "larger than 400 kB"),
            (b"email,full_name\n" + b"a@b.example,A\n" * 1001, "a page takes 1000"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_refused_in_words(self, ben: Visitor, content: bytes, sentence: str) -> None:
        answer = upload(ben, content)

        assert answer.status_code == 422
        assert sentence in answer.text

    def test_without_a_file_the_form_asks_for_one(self, ben: Visitor) -> None:
        answer = ben.post("/acme/customers/import", data={})

        assert answer.status_code == 422
        assert "Choose a file." in answer.text

    def test_markup_in_a_file_stays_text(self, ben: Visitor) -> None:
        page = upload(ben, "email,full_name\nx@quill.example,</textarea><script>alert(1)</script>\n").text

        assert "<script>alert" not in page


class TestExporting:
    def rows(self, visitor: Visitor, query: str = "?status=all") -> list[dict[str, str]]:
        answer = visitor.get(f"/acme/customers/export.csv{query}")
        assert answer.status_code == 200
        assert "attachment" in answer.headers["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))

    def test_it_holds_what_the_list_shows(self, ben: Visitor, cast: Cast) -> None:
        make.customer(cast.acme, "Viktor Longmeadow", status=CustomerStatus.INACTIVE)
        make.customer(cast.zenith, "Canary Bird")

        assert [row["full_name"] for row in self.rows(ben)] == ["Taken", "Viktor Longmeadow"]
        assert [row["full_name"] for row in self.rows(ben, "?status=inactive")] == ["Viktor Longmeadow"]
        assert [row["full_name"] for row in self.rows(ben, "?q=longmeadow")] == ["Viktor Longmeadow"]

    def test_no_cell_is_a_formula_and_a_file_comes_back_as_it_was(self, ben: Visitor, cast: Cast) -> None:
        nasty = make.customer(cast.acme, '=HYPERLINK("x")', phone="+351 21", company="@SUM(1)", address="-2+3")

        row = next(row for row in self.rows(ben) if row["email"] == nasty.email)
        assert [row[name] for name in ("full_name", "phone", "company", "address")] == [
            '\'=HYPERLINK("x")',
            "'+351 21",
            "'@SUM(1)",
            "'-2+3",
        ]
        text = ben.get("/acme/customers/export.csv?status=all").get_data(as_text=True)
        rows, _ = customer_files.parse(text.replace(nasty.email, "new@quill.example").encode(), "back.csv")
        back = next(row.cells for row in rows if row.cells["email"] == "new@quill.example")
        assert (back["full_name"], back["phone"]) == ('=HYPERLINK("x")', "+351 21")

    def test_many_cost_as_many_queries_as_few(self, ben: Visitor, cast: Cast) -> None:
        self.rows(ben)
        with counted_queries() as few:
            self.rows(ben)
        for _ in range(30):
            make.customer(cast.acme)
        with counted_queries() as many:
            self.rows(ben)

        assert many.count == few.count

"""The strategies walked to their end against a Nexudus whose answers get lost: one record there for one of ours."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask

from app import clock, effects
from app.db import end_reading
from app.effects import CRASH_POINTS, Done, Subject, carry_out
from app.errors import Capped, NotSent, OutcomeUnknown, Refused
from app.money import Money
from app.work import Lease
from plugins.nexudus.frozen import BillTo, FrozenInvoice
from plugins.nexudus.sandbox import billing
from plugins.nexudus.writers import next_step
from tests.cast import Cast
from tests.plugins.nexudus.invoices import Line
from tests.plugins.nexudus.over_there import OverThere

LINES: tuple[Line, ...] = (
    ("Mailbox plan, February", "1", 2000, "23"),
    ("Scanning, hours", "2.5", 333, "23"),
    ("Parcel storage", "3", 150, "23"),
)
ONE, TWO = LINES[:1], LINES[:2]
WAYS: dict[str, dict[str, Any]] = {
    "product_sale": {"way": "product_sale"},
    "product_sale with our number": {"way": "product_sale", "use_own_number": True},
    "document, draft": {"way": "document"},
    "document, issued": {"way": "document", "issue": "issued", "use_own_number": True},
}
LONGEST_WALK = 60  # attempts; a walk that needs more never ends


class Held(Lease):
    """A lease that is never lost."""

    def __init__(self) -> None:
        super().__init__(model=None, row_id=1, token="held")

    def renew(self, **changes: Any) -> None:
        return


class Crash(BaseException):
    """Stands for kill -9: nothing after it runs."""


class Walk:
    """One invoice on its way, as often begun anew as it takes."""

    def __init__(self, account_id: int | None, there: OverThere, invoice: FrozenInvoice) -> None:
        self.there, self.frozen = there, invoice
        self.subject = Subject(account_id, "nexudus.invoice", invoice.invoice_id)
        self.problems: list[BaseException] = []
        self.after_a_problem: Callable[[], None] = lambda: None

    def attempt(self) -> Done:
        return carry_out(self.subject, partial(next_step, self.frozen), self.there.remote, Held())

    def to_the_end(self) -> Done:
        """Again after whatever passes by itself; a refusal is raised."""
        for _ in range(LONGEST_WALK):
            try:
                return self.attempt()
            except (NotSent, OutcomeUnknown, Capped, Crash) as problem:
                self.problems.append(problem)
                self.after_a_problem()
        raise AssertionError(f"no end after {LONGEST_WALK} attempts") from self.problems[-1]

    def check(self, done: Done) -> None:
        """One invoice there, with our lines and sums and reference, and nothing left over."""
        there, ours = self.there, self.frozen
        (invoice,) = there.records("CoworkerInvoice")
        lines = there.space.where("CoworkerInvoiceLine", CoworkerInvoiceId=invoice["Id"])
        assert [line["Description"] for line in lines] == [line.description for line in ours.lines]
        assert Money.nearest(invoice["TotalAmount"], ours.currency).minor == ours.total_minor
        assert Money.nearest(invoice["TaxAmount"], ours.currency).minor == ours.tax_minor
        assert invoice["PurchaseOrder"] == ours.marker
        assert invoice["Draft"] is (ours.way == "document" and ours.issue == "draft")
        sales = there.records("CoworkerProduct")
        assert len(sales) == (len(lines) if ours.way == "product_sale" else 0)
        assert all(sale["CoworkerInvoiceId"] == invoice["Id"] for sale in sales)
        assert done["verify"] == {
            "invoice_id": invoice["Id"],
            "number": invoice["InvoiceNumber"],
            "net_minor": ours.net_minor,
            "tax_minor": ours.tax_minor,
            "total_minor": ours.total_minor,
            "draft": invoice["Draft"],
            "shared": False,
        }


@pytest.fixture
def database_url(data_dir: Path) -> str:
    """What is shown here lies over there; one database of ours is enough."""
    return f"sqlite:///{data_dir / 'test.db'}"


@pytest.fixture(params=WAYS)
def walk(request: pytest.FixtureRequest, app: Flask, cast: Cast) -> Walk:
    """A walk of each strategy, with three lines; every profile takes what its strategy needs."""
    return begin(cast, LINES, **WAYS[request.param])


def begin(cast: Cast, lines: tuple[Line, ...] = ONE, **fields: Any) -> Walk:
    account_id = cast.acme.id
    there = over_there(**fields)
    return Walk(account_id, there, there.frozen(lines, **fields))


def over_there(**fields: Any) -> OverThere:
    end_reading()
    return OverThere("current" if fields["way"] == "product_sale" else "classic-2020")


def test_an_invoice_is_handed_over(walk: Walk) -> None:
    done = walk.to_the_end()
    walk.check(done)
    assert walk.problems == []


def test_our_number_is_used_only_where_that_was_agreed(walk: Walk) -> None:
    walk.to_the_end()
    (invoice,) = walk.there.records("CoworkerInvoice")
    assert (invoice["InvoiceNumber"] == "INV-7") is walk.frozen.use_own_number


@pytest.mark.parametrize(
    ("way", "calls", "writes"),
    [("product_sale", 7, 3), ("document, draft", 4, 2)],
)
def test_an_invoice_of_one_line_takes_few_calls(app: Flask, cast: Cast, way: str, calls: int, writes: int) -> None:
    walk = begin(cast, **WAYS[way])
    walk.to_the_end()
    assert (walk.there.calls(), walk.there.writes()) == (calls, writes)


def test_a_second_run_sends_nothing(walk: Walk) -> None:
    first = walk.to_the_end()
    walk.there.space.calls.reset()
    assert walk.to_the_end() == first
    assert walk.there.calls() == 0


def test_b1_every_answer_to_a_write_lost_leaves_one_record_there(walk: Walk) -> None:
    walk.there.faults(lost_answer_every=1)
    walk.check(walk.to_the_end())
    assert any(isinstance(problem, OutcomeUnknown) for problem in walk.problems)


@pytest.mark.parametrize("switch", ["lost_answer_next", "dropped_next", "error_next", "throttle_next"])
@pytest.mark.parametrize("way", WAYS)
def test_b1_b2_b4_b5_trouble_at_any_one_call_leaves_one_record_there(
    app: Flask, cast: Cast, way: str, switch: str
) -> None:
    """At the first call, then at the second, and so on, until a walk comes through untouched."""
    there = over_there(**WAYS[way])
    account_id = cast.acme.id
    for number in range(1, LONGEST_WALK):
        end_reading()
        there.member_id = there.make_member(f"member-{number}@quill.example", f"acme:{number}")
        walk = Walk(account_id, there, there.frozen(TWO, number=f"INV-{number}", invoice_id=number, **WAYS[way]))
        there.trouble_at(number, switch)
        walk.check(walk.to_the_end())
        there.quiet()
        if not walk.problems and there.calls() < number:
            break
    assert number > len(TWO)


@pytest.mark.parametrize("seed", range(5))
def test_trouble_at_random_leaves_one_record_there(walk: Walk, seed: int) -> None:
    dice = random.Random(seed)
    walk.there.before_each_call(
        lambda: walk.there.faults(lost_answer_next=int(dice.random() < 0.2), dropped_next=int(dice.random() < 0.1))
    )
    walk.check(walk.to_the_end())


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a1_a2_a3_a_crash_anywhere_leaves_one_record_there(
    walk: Walk, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Crash at the first pass of the point, then at the second, and so on, until a walk comes through untouched."""
    passed = 0
    crash_at = 1

    def crash(here: str) -> None:
        nonlocal passed, crash_at
        passed += here == point
        if here == point and passed == crash_at:
            passed, crash_at = 0, crash_at + 1
            raise Crash(point)

    monkeypatch.setattr(effects, "crash_point", crash)
    walk.check(walk.to_the_end())
    assert any(isinstance(problem, Crash) for problem in walk.problems)


def test_b14_records_that_lists_hide_for_a_while_are_waited_for(
    app: Flask, walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.config["SETTINGS"].model_copy(update={"settle_s": 10})
    monkeypatch.setitem(app.config, "SETTINGS", settings)
    walk.there.faults(lost_answer_every=1, hidden_s=9)
    with time_machine.travel(clock.now(), tick=False) as machine:
        walk.after_a_problem = lambda: machine.shift(11)
        walk.check(walk.to_the_end())


# What happens over there meanwhile


@pytest.fixture
def sale(app: Flask, cast: Cast) -> Walk:
    return begin(cast, LINES, way="product_sale")


@pytest.fixture
def document(app: Flask, cast: Cast) -> Walk:
    return begin(cast, LINES, way="document")


def until(walk: Walk, key: str) -> None:
    """Walk up to the step `key`, which is not begun."""

    def some_steps(done: Done) -> Any:
        step = next_step(walk.frozen, done)
        return None if step is not None and step.key == key else step

    carry_out(walk.subject, some_steps, walk.there.remote, Held())


@pytest.mark.parametrize("step", ["invoice", "reference"])
def test_b22_a_renewal_that_swallows_the_sales_is_adopted(sale: Walk, step: str) -> None:
    """Before we invoice them, when that is refused; and a renewal after that swallows nothing of ours."""
    until(sale, step)
    with sale.there.meanwhile() as space:
        billing.renew(space, sale.there.business.id, sale.there.member_id)
    done = sale.to_the_end()
    theirs = done["verify"]["shared"]
    assert theirs is (step == "invoice")
    assert len(sale.there.records("CoworkerInvoice")) == (1 if theirs else 2)
    assert done["verify"]["total_minor"] == sale.frozen.total_minor
    (invoice,) = [one for one in sale.there.records("CoworkerInvoice") if one["Id"] == done["verify"]["invoice_id"]]
    assert (Money.nearest(invoice["TotalAmount"], "EUR").minor > sale.frozen.total_minor) is theirs


def test_b22_of_two_invoices_on_one_renewal_both_are_handed_over(sale: Walk) -> None:
    other = Walk(sale.subject.account_id, sale.there, sale.there.frozen(ONE, number="INV-8", invoice_id=8))
    until(sale, "invoice")
    until(other, "invoice")
    with sale.there.meanwhile() as space:
        billing.renew(space, sale.there.business.id, sale.there.member_id)
    first, second = sale.to_the_end()["verify"], other.to_the_end()["verify"]
    (invoice,) = sale.there.records("CoworkerInvoice")
    assert first["invoice_id"] == second["invoice_id"] == invoice["Id"]
    assert (first["total_minor"], second["total_minor"]) == (sale.frozen.total_minor, other.frozen.total_minor)
    assert invoice["PurchaseOrder"] == sale.frozen.marker


def test_several_invoices_for_one_of_ours_are_left_to_a_person(sale: Walk) -> None:
    sale.there.faults(one_invoice_per_sale=True)
    with pytest.raises(Refused) as caught:
        sale.to_the_end()
    assert caught.value.code == "several_invoices"
    assert len(sale.there.records("CoworkerInvoice")) == len(LINES)
    with pytest.raises(Refused):
        sale.to_the_end()
    assert len(sale.there.records("CoworkerInvoice")) == len(LINES)


def test_b21_ignored_filters_do_not_make_a_second_record(walk: Walk) -> None:
    ignored = "CoworkerProduct_PurchaseOrder, CoworkerProduct_Coworker, CoworkerInvoice_PurchaseOrder"
    walk.there.faults(lost_answer_every=1, ignored_filters=ignored)
    walk.check(walk.to_the_end())


def test_b19_a_sale_that_was_copied_there_is_left_to_a_person(sale: Walk) -> None:
    sale.there.faults(lost_answer_next=1)
    with pytest.raises(OutcomeUnknown):
        sale.attempt()
    (first,) = sale.there.records("CoworkerProduct")
    with sale.there.meanwhile() as space:
        space.create("CoworkerProduct", {**first, "CreatedOn": clock.now().isoformat()})
    with pytest.raises(Refused) as caught:
        sale.attempt()
    assert caught.value.code == "duplicate"


def test_b6_a_refused_sale_can_be_tried_again(sale: Walk) -> None:
    with sale.there.meanwhile() as space:
        product = space.need("Product", sale.there.product_id)
        space.store.drop("Product", product["Id"])
    with pytest.raises(Refused):
        sale.attempt()
    with sale.there.meanwhile() as space:
        space.store.put("Product", product["Id"], product)
    sale.check(sale.to_the_end())


def test_c1_another_tax_there_holds_the_invoice_with_their_total(sale: Walk) -> None:
    with sale.there.meanwhile() as space:
        rate = space.need("TaxRate", sale.there.tax.id)
        space.save("TaxRate", rate | {"Rate": rate["Rate"] - 10})
    with pytest.raises(Refused) as caught:
        sale.to_the_end()
    (invoice,) = sale.there.records("CoworkerInvoice")
    assert caught.value.code == "total_differs"
    assert "lower than here" in caught.value.sentence
    assert caught.value.details["total_minor"] == Money.nearest(invoice["TotalAmount"], "EUR").minor
    assert caught.value.details["invoice_id"] == invoice["Id"]


def test_checking_again_after_the_difference_was_mended_hands_it_over(document: Walk) -> None:
    until(document, "verify")
    (invoice,) = document.there.records("CoworkerInvoice")
    with document.there.meanwhile() as space:
        space.save("CoworkerInvoice", invoice | {"TotalAmount": invoice["TotalAmount"] - 1})
    with pytest.raises(Refused):
        document.attempt()
    with document.there.meanwhile() as space:
        space.save("CoworkerInvoice", invoice)
    document.check(document.to_the_end())


def test_a_wrong_total_is_never_issued(app: Flask, cast: Cast) -> None:
    walk = begin(cast, LINES, way="document", issue="issued")
    until(walk, "check")
    (invoice,) = walk.there.records("CoworkerInvoice")
    with walk.there.meanwhile() as space:
        space.save("CoworkerInvoice", invoice | {"TotalAmount": invoice["TotalAmount"] + 100})
    with pytest.raises(Refused) as caught:
        walk.attempt()
    assert caught.value.code == "total_differs"
    assert walk.there.records("CoworkerInvoice")[0]["Draft"] is True


def test_an_invoice_deleted_there_is_told_and_not_made_again(sale: Walk) -> None:
    until(sale, "verify")
    (invoice,) = sale.there.records("CoworkerInvoice")
    with sale.there.meanwhile() as space:
        space.store.drop("CoworkerInvoice", invoice["Id"])
    with pytest.raises(Refused) as caught:
        sale.attempt()
    assert caught.value.code == "not_found"
    assert sale.there.records("CoworkerInvoice") == []


def test_a_document_without_a_postcode_names_it(app: Flask, cast: Cast) -> None:
    walk = begin(cast, way="document", bill_to=BillTo("Ada", "Rua Um 1", "Porto", "", 1))
    with pytest.raises(Refused) as caught:
        walk.attempt()
    assert (caught.value.code, caught.value.sentence) == ("field_missing", "Nexudus refuses this without a postcode.")


def test_a_document_where_none_are_routed_is_refused(app: Flask, cast: Cast) -> None:
    walk = begin(cast, way="document")
    walk.there.space.profile = "current"
    with pytest.raises(Refused) as caught:
        walk.attempt()
    assert caught.value.code == "not_routed"


def test_b25_nothing_that_mails_or_collects_is_ever_sent(walk: Walk) -> None:
    walk.to_the_end()
    counts = walk.there.space.calls.counts()
    commands = [call for call in counts if call.endswith("runcommand")]
    expected = ["POST /api/billing/coworkerproducts/runcommand"] if walk.frozen.way == "product_sale" else []
    assert commands == expected

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import g

from app import clock
from app.accounts.models import User
from app.billing import collecting, customers, life, timeline
from app.billing.collecting import PaidBy
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.billing.timeline import Place
from app.db import db, unit_of_work
from app.mailing.models import OutgoingMail
from app.payments.models import (
    CONFIRM_WITHIN,
    Charge,
    ChargeState,
    Collection,
    Gateway,
    ProviderName,
    Refund,
    RefundState,
    SavedCard,
)
from tests import make
from tests.app import example
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries

LONG_AGO = datetime(2026, 1, 5, 10, tzinfo=UTC)


@pytest.fixture
def ben(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ben)


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", signed_up_at=LONG_AGO)


@contextmanager
def as_on_a_page(visitor: Visitor) -> Iterator[None]:
    """Addresses can be made, as on a page of Acme."""
    with visitor.application.test_request_context("/acme/"):
        g.account_slug = "acme"
        yield


def whats(customer: Customer, *kinds: str, begins: Place = Place()) -> list[str]:  # noqa: B008  # frozen
    chosen = [one for one in timeline.sources(customer) if not kinds or one.name in kinds]
    return [moment.what for moment in timeline.page(customer, chosen, begins).moments]


def send_mail(customer: Customer, at: datetime) -> None:
    with unit_of_work() as session:
        session.add(
            OutgoingMail(
                account_id=customer.account_id,
                customer_id=customer.id,
                template="welcome",
                message_id=f"<{at.isoformat()}@acme.example>",
                sender_name="Acme",
                sender_address="post@acme.example",
                recipient=customer.email,
                subject="Welcome",
                text="",
                html="",
                created_at=at,
            )
        )


def test_all_kinds_stand_in_one_order_and_each_alone(ben: Visitor, cast: Cast, tamsin: Customer) -> None:
    invoice = make.invoice(tamsin, number="A-1", created_at=LONG_AGO + timedelta(days=1))
    make.invoice(tamsin, number="A-2", status=InvoiceStatus.DRAFT, created_at=LONG_AGO + timedelta(days=2))
    send_mail(tamsin, LONG_AGO + timedelta(days=3))
    with unit_of_work():
        collecting.mark_paid_by_hand(invoice, PaidBy.TRANSFER, "Ref 7")
    with unit_of_work():
        life.lock(customers.locked(cast.acme, tamsin.id), "Mail came back.", by="ana@acme.example")

    with as_on_a_page(ben):
        assert whats(tamsin) == ["Locked", "A-1 paid", "Welcome", "A-1 written", "Became known here"]
        assert whats(tamsin, "payments") == ["A-1 paid"]
    page = ben.get(f"/acme/customers/{tamsin.id}/timeline").text
    assert "Mail came back. By ana@acme.example." in page
    assert "Bank transfer, by hand. Ref 7" in page
    narrowed = ben.get(f"/acme/customers/{tamsin.id}/timeline?show=payments").text
    assert "A-1 paid" in narrowed
    assert "Mail came back. By" not in narrowed.partition("sm-timeline")[2]


@pytest.mark.parametrize("together", [False, True])
def test_pages_leave_nothing_out_and_repeat_nothing(
    ben: Visitor, tamsin: Customer, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "PER_PAGE", 4)
    for number in range(9):
        at = LONG_AGO + (timedelta(days=1) if together else timedelta(days=number))
        make.invoice(tamsin, number=f"A-{number}", created_at=at, status=InvoiceStatus.VOID, voided_at=at)

    shown: list[Any] = []
    begins: Place | None = Place()
    with as_on_a_page(ben):
        while begins:
            page = timeline.page(tamsin, timeline.sources(tamsin), Place.read(str(begins)))
            shown += [moment.what for moment in page.moments]
            begins = page.older

    assert len(shown) == len(set(shown)) == 19


@pytest.mark.parametrize("asked", ["", "soon", "2026-01-01_1", "2026-01-01T00:00:00+00:00_-5", "_", "9" * 80])
def test_an_address_that_nobody_wrote_shows_a_page(ben: Visitor, tamsin: Customer, asked: str) -> None:
    answer = ben.get(f"/acme/customers/{tamsin.id}/timeline", query_string={"before": asked, "show": asked})

    assert answer.status_code == 200


def test_a_long_past_costs_as_many_queries_as_a_short_one(ben: Visitor, tamsin: Customer) -> None:
    def cost() -> int:
        with counted_queries() as counted:
            assert ben.get(f"/acme/customers/{tamsin.id}/timeline").status_code == 200
        return counted.count

    attempt(tamsin, LONG_AGO)
    make.invoice(tamsin, created_at=LONG_AGO)
    cost()
    short = cost()
    for number in range(40):
        make.invoice(tamsin, created_at=LONG_AGO + timedelta(days=number))
        attempt(tamsin, LONG_AGO + timedelta(days=number))
        send_mail(tamsin, LONG_AGO + timedelta(days=number))

    assert cost() == short


def attempt(customer: Customer, at: datetime) -> None:
    """An invoice whose charge was declined after the bank had wanted a confirmation, and a refund of it."""
    invoice = make.invoice(customer, created_at=at)
    with unit_of_work() as session:
        gateway = session.scalar(sa.select(Gateway)) or Gateway(
            account_id=customer.account_id, provider=ProviderName.TEST, webhook_key="key", tag="tag"
        )
        card = SavedCard(
            account_id=customer.account_id, gateway=gateway, customer_id=customer.id, ref=f"card-{invoice.id}",
            brand="Visa", last4="0002", exp_month=1, exp_year=2030,
        )  # fmt: skip
        collection = Collection(account_id=customer.account_id, invoice_id=invoice.id)
        charge = Charge(
            account_id=customer.account_id, collection=collection, invoice_id=invoice.id, gateway=gateway, card=card,
            number=1, amount_minor=1230, currency="EUR", key=f"key-{invoice.id}", state=ChargeState.FAILED,
            reason="The bank gives no reason.", created_at=at, confirm_until=at + CONFIRM_WITHIN,
            ended_at=at + timedelta(hours=2),
        )  # fmt: skip
        session.add(charge)
        charge.refunds.append(
            Refund(
                account_id=customer.account_id,
                amount_minor=200,
                key=f"back-{invoice.id}",
                state=RefundState.DONE,
                reason="Too much",
                ended_at=at + timedelta(hours=3),
            )
        )


def test_what_the_gateway_tried_stands_among_the_payments(ben: Visitor, tamsin: Customer) -> None:
    attempt(tamsin, LONG_AGO)
    number = db.session.scalars(sa.select(Invoice.number)).one()

    with as_on_a_page(ben):
        assert whats(tamsin, "payments") == [
            f"{number}: refunded",
            f"{number} declined, attempt 1 from Visa ··0002",
            f"{number} needs a confirmation by the bank",
        ]
        assert whats(tamsin, "invoices") == [f"{number} written"]
    page = ben.get(f"/acme/customers/{tamsin.id}/timeline").text
    assert "The bank gives no reason." in page
    assert "€2.00" in page


def test_what_was_paid_by_card_names_the_card(ben: Visitor, tamsin: Customer) -> None:
    paid: dict[str, Any] = {"collector": "gateway", "paid_how": "Card", "paid_note": "Visa ··4242, pi_1"}
    make.invoice(tamsin, status=InvoiceStatus.PAID, paid_at=clock.now(), **paid)

    assert "From Visa ··4242." in ben.get(f"/acme/customers/{tamsin.id}/timeline?kind=payments").text


def test_plugins_add_what_they_know_and_a_fault_leaves_a_line(
    ben: Visitor, cast: Cast, tamsin: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.installation(cast.acme, "example")
    address = f"/acme/customers/{tamsin.id}/timeline"

    assert "A thing for Tamsin Quill" in ben.get(address).text
    monkeypatch.setattr(example, "broken", True)
    page = ben.get(address).text
    assert "What Example knows could not be shown here." in page
    assert "Became known here" in page


def test_what_happened_to_others_is_not_shown(ben: Visitor, cast: Cast, tamsin: Customer) -> None:
    make.invoice(make.customer(cast.acme, "Other"), number="CANARY-1", created_at=clock.now())

    assert "CANARY-1" not in ben.get(f"/acme/customers/{tamsin.id}/timeline").text
    theirs = make.customer(cast.zenith, "Canary Bird")
    assert ben.get(f"/acme/customers/{theirs.id}/timeline").status_code == 404
    assert db.session.get(Customer, theirs.id)

"""A person acts while a worker is in the middle of something: what the person said holds, and nothing is doubled."""

import ssl
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from flask import Flask, current_app
from urllib3.exceptions import MaxRetryError
from urllib3.exceptions import SSLError as UrllibSSLError

from app import clock
from app.billing import collecting, invoices, life
from app.billing.lines import Line
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.errors import NotSent, OutcomeUnknown, SignInNeeded
from app.http import Door
from app.installations.models import InstallationState
from plugins.nexudus import connecting, linking, links, members
from plugins.nexudus.client import Nexudus
from plugins.nexudus.models import Connection, ExportRun, ExportState, How, InvoiceExport, LinkState
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import (
    There,
    export_of,
    fresh,
    link_of,
    mounted,
    newer_invoice,
    the_connection,
    the_installation,
    work_again,
)
from tests.visitors import HeardBell, Visitor, apart

JOB = "nexudus.work_on_connection"


def state_of(customer: Customer) -> LinkState | None:
    link = link_of(customer)
    return link.state if link else None


def customer_now(customer: Customer) -> Customer:
    return db.session.get_one(Customer, customer.id, populate_existing=True)


def once_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], object]) -> None:
    """Let `act` happen, as another process would, right before the first call of `owner.name`."""
    real = getattr(owner, name)
    done: list[int] = []
    elsewhere = beside(act)

    def wrapped(*args: Any, **options: Any) -> Any:
        if not done:
            done.append(1)
            elsewhere()
        return real(*args, **options)

    monkeypatch.setattr(owner, name, wrapped)


def beside(act: Callable[[], object]) -> Callable[[], None]:
    """`act` as another process would do it: in an app context and a session of its own."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def run() -> None:
        with app.app_context():
            act()

    return lambda: apart(run)


def export_now(ana: Visitor, bell: HeardBell) -> None:
    assert ana.post("/acme/nexudus/exports/now").status_code == 303
    bell.answer()


def test_waiting_invoices_stay_here_after_disconnecting_and_connecting_again(
    cast: Cast, ana: Visitor, there: There, customer: Customer, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    invoice = newer_invoice(customer)
    ana.post("/acme/nexudus/exports/now")
    bell.rings.clear()
    with unit_of_work() as session:  # planned, not sent yet
        run = session.scalars(sa.select(ExportRun)).one()
        run.planned_at = clock.now()
        session.add(
            InvoiceExport(
                account_id=run.account_id, connection_id=run.connection_id, invoice_id=invoice.id, run_id=run.id
            )
        )
    ana.post("/acme/nexudus/disconnect")
    connect()
    bell.answer()
    assert there.invoices() == []
    assert fresh(invoice).status == InvoiceStatus.PENDING


def test_an_export_now_that_never_began_does_not_run_after_connecting_again(
    ana: Visitor, there: There, customer: Customer, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    ana.post("/acme/nexudus/exports/now")
    bell.rings.clear()
    ana.post("/acme/nexudus/disconnect")
    connect()
    newer_invoice(customer)
    bell.answer()
    assert there.invoices() == []


def test_a_worker_in_the_middle_sends_nothing_more_once_disconnected(
    cast: Cast, ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        newer_invoice(customer)
    ana.post("/acme/nexudus/exports/now")
    once_before(monkeypatch, Nexudus, "invoice_sales", lambda: ana.post("/acme/nexudus/disconnect"))
    bell.answer()
    assert len(there.invoices()) <= 1
    assert the_installation(cast).state == InstallationState.ON
    assert db.session.scalars(sa.select(Connection)).one().due_at is None


def test_switching_off_while_a_worker_recovers_stays_off(
    cast: Cast, ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer_invoice(customer)
    there.faults(only="/api/", error_next=1)
    ana.post("/acme/nexudus/exports/now")
    bell.answer()
    assert the_connection().problem
    toggle = "/acme/settings/integrations/systems/nexudus/toggle"
    once_before(monkeypatch, connecting, "keep_alive", lambda: ana.post(toggle, data={"on": "0", "sure": "1"}))
    work_again(bell)
    assert the_installation(cast).state == InstallationState.OFF


def test_signing_in_again_in_the_middle_of_a_failing_slice_is_not_undone(
    cast: Cast,
    ana: Visitor,
    there: There,
    customer: Customer,
    connect: Callable[[], Connection],
    bell: HeardBell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sign_in_again = beside(connect)

    def revoked(mine: Any) -> None:
        sign_in_again()
        bell.rings.clear()
        raise SignInNeeded("Nexudus ended our sign-in.")

    monkeypatch.setattr(linking, "work", revoked)
    work_again(bell)
    assert the_installation(cast).state == InstallationState.CONNECTED


def test_billed_here_said_while_members_are_created_holds(
    cast: Cast,
    ana: Visitor,
    there: There,
    connect: Callable[[], Connection],
    bell: HeardBell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make.customer(cast.acme)
    second = make.customer(cast.acme)
    second_id = second.id
    connect()
    once_before(
        monkeypatch,
        Nexudus,
        "create_member",
        lambda: ana.post(f"/acme/nexudus/customers/{second_id}/unlink", data={"reason": "Own contract"}),
    )
    bell.answer()
    link = link_of(second)
    assert link is not None
    assert link.state == LinkState.BILLED_HERE
    assert len(there.members()) == 1
    assert customer_now(second).billed_by == ""


def test_a_link_by_hand_while_members_are_created_is_not_replaced_by_a_second_member(
    cast: Cast,
    ana: Visitor,
    there: There,
    connect: Callable[[], Connection],
    bell: HeardBell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make.customer(cast.acme)
    second = make.customer(cast.acme)
    second_id = second.id
    studio = there.member("studio@fennimore.example")
    connect()
    once_before(
        monkeypatch,
        Nexudus,
        "create_member",
        lambda: ana.post(f"/acme/nexudus/customers/{second_id}/link", data={"member_id": studio, "sure": "yes"}),
    )
    bell.answer()
    link = link_of(second)
    assert link is not None
    assert (link.member_id, link.how) == (studio, How.BY_HAND)
    assert len(there.members()) == 2


def test_a_created_member_that_a_person_gave_to_somebody_else_does_not_stop_the_connection(
    cast: Cast,
    ana: Visitor,
    there: There,
    connect: Callable[[], Connection],
    bell: HeardBell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = make.customer(cast.acme)
    other = make.customer(cast.acme, status=CustomerStatus.INACTIVE)
    connect()
    other_id, real = other.id, Nexudus.create_member
    made: list[Any] = []

    def give_away() -> None:
        with unit_of_work() as session:
            connection = the_connection()
            seen = links.remember(connection, members.seen(connection.id, made[0]))
            links.link(connection, session.get_one(Customer, other_id), seen, How.BY_HAND, "Ana Alder")

    elsewhere = beside(give_away)

    def create_and_lose(self: Nexudus, *args: Any) -> int:
        member_id = real(self, *args)
        made.append(self.member(member_id))
        elsewhere()
        return member_id

    monkeypatch.setattr(Nexudus, "create_member", create_and_lose)
    bell.answer()
    link = link_of(first)
    assert link is not None
    assert link.state == LinkState.CHOICE


def test_a_member_that_a_search_saw_before_its_creation_was_looked_up_stops_nothing(
    cast: Cast, ana: Visitor, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    customer = make.customer(cast.acme, email="seen@quill.example")
    connect()
    there.faults(only="/api/spaces/coworkers", lost_answer_next=1)
    bell.answer()
    assert state_of(customer) == LinkState.CREATING
    ana.get(f"/acme/nexudus/customers/{customer.id}/members", htmx=True)  # somebody opens the customer's page
    work_again(bell, rounds=2)
    assert state_of(customer) == LinkState.LINKED
    assert len(there.members()) == 1


def test_a_new_customer_never_inherits_the_member_of_a_deleted_link(
    cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
) -> None:
    old = make.customer(cast.acme, email="old@quill.example")
    work_again(bell)
    theirs = link_of(old)
    assert theirs is not None
    member_id = theirs.member_id
    ana.post(f"/acme/nexudus/customers/{old.id}/unlink", data={"reason": ""})
    with unit_of_work():
        life.deactivate(db.session.get_one(Customer, old.id))
    ana.post(f"/acme/nexudus/customers/{old.id}/connect-again")
    new = make.customer(cast.acme, email="new@quill.example")
    work_again(bell)
    link = link_of(new)
    assert link is not None
    assert link.member_id != member_id
    assert len(there.members(Email="new@quill.example")) == 1


def test_connect_again_leaves_a_link_alone(
    cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
) -> None:
    customer = make.customer(cast.acme, email="yuki@fennimore.example", status=CustomerStatus.INACTIVE)
    studio = there.member("studio@fennimore.example")
    ana.get(f"/acme/nexudus/customers/{customer.id}/members?q=studio@fennimore.example", htmx=True)
    ana.post(f"/acme/nexudus/customers/{customer.id}/link", data={"member_id": studio, "sure": "yes"})
    with unit_of_work():
        life.activate(db.session.get_one(Customer, customer.id))
    ana.post(f"/acme/nexudus/customers/{customer.id}/connect-again")
    bell.answer()
    link = link_of(customer)
    assert link is not None
    assert link.member_id == studio
    assert len(there.members()) == 1


def test_nobody_is_linked_to_a_member_that_was_deleted_there(
    cast: Cast, there: There, connected: Connection, ana: Visitor, bell: HeardBell
) -> None:
    member_id = there.member("late@quill.example")
    ana.post("/acme/nexudus/members/connect")
    bell.answer()
    there.forget("Coworker", member_id)
    late = make.customer(cast.acme, email="late@quill.example")
    work_again(bell)
    link = link_of(late)
    assert link is not None
    assert link.member_id != member_id


def test_do_not_send_said_after_the_run_was_planned_holds(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer_invoice(customer)
    second = newer_invoice(customer)
    second_id = second.id
    ana.post("/acme/nexudus/exports/now")
    once_before(
        monkeypatch,
        Nexudus,
        "invoice_sales",
        lambda: ana.post(f"/acme/invoices/{second_id}/do-not-send", data={"held_back": "1"}),
    )
    bell.answer()
    assert len(there.invoices()) == 1
    assert fresh(second).collector is None


def test_an_invoice_older_than_the_cut_over_goes_by_no_button(
    cast: Cast, ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    cutover = the_installation(cast).cutover_at
    assert cutover is not None
    invoice = make.invoice(customer, created_at=cutover)
    ana.post(f"/acme/nexudus/invoices/{invoice.id}/hold", data={"reason": ""})
    export = export_of(invoice)
    if export is not None:
        ana.post(f"/acme/nexudus/exports/{export.id}/retry")
        bell.answer()
    assert there.invoices() == []
    assert fresh(invoice).status == InvoiceStatus.PENDING


def test_a_customer_unlinked_while_the_invoice_is_prepared_is_billed_here(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice, customer_id = newer_invoice(customer), customer.id
    ana.post("/acme/nexudus/exports/now")
    once_before(
        monkeypatch,
        Nexudus,
        "tax_rates",
        lambda: ana.post(f"/acme/nexudus/customers/{customer_id}/unlink", data={"reason": ""}),
    )
    bell.answer()
    assert there.invoices() == []
    assert fresh(invoice).collector is None


def test_a_line_added_while_the_invoice_is_prepared_goes_too(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = newer_invoice(customer)
    invoice_id = invoice.id

    def add_a_line() -> None:
        with unit_of_work() as session:
            invoices.extend(session.get_one(Invoice, invoice_id), Line.read("Stamp", "1", "1", "6", "EUR"))

    ana.post("/acme/nexudus/exports/now")
    once_before(monkeypatch, Nexudus, "tax_rates", add_a_line)
    bell.answer()
    assert fresh(invoice).status == InvoiceStatus.CLOSED


def test_a_member_of_a_location_with_another_currency_is_not_billed_in_it(
    cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
) -> None:
    other = there.space.where("Business", Name="Quayside Mill Lane")[0]
    pound = there.space.where("Currency", Code="GBP")[0]
    there.change("Business", other["Id"], CurrencyId=pound["Id"])
    there.member("abroad@quill.example", Businesses=[other["Id"]], InvoicingBusinessId=other["Id"])
    customer = make.customer(cast.acme, email="abroad@quill.example")
    work_again(bell)
    invoice = newer_invoice(customer)
    export_now(ana, bell)
    assert there.invoices() == []
    export = export_of(invoice)
    assert export is not None
    assert (export.state, export.reason_code) == (ExportState.HELD, "currency")


def test_a_held_invoice_is_frozen_anew_when_nothing_of_it_is_over_there(
    app: Flask, cast: Cast, ana: Visitor, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The product was archived there; another one is chosen; retry must use it."""

    there = mounted(app, monkeypatch)
    ana.post(
        "/acme/nexudus/connect",
        data={"email": EMAIL, "password": PASSWORD, "issue": "draft", "may_add_products": "y"},
    )
    bell.answer()
    customer = make.customer(cast.acme)
    work_again(bell)
    newer_invoice(customer)
    export_now(ana, bell)
    product = there.space.where("Product", Name="SphereMail invoice line, 23 %")[0]
    there.forget("Product", product["Id"])
    invoice = newer_invoice(customer)
    export_now(ana, bell)
    export = export_of(invoice)
    assert export is not None
    assert export.state == ExportState.HELD
    from plugins.nexudus.models import TaxProduct

    other = there.space.create("Product", {k: v for k, v in product.items() if k not in {"Id", "UniqueId"}})
    row = db.session.scalars(sa.select(TaxProduct).where(TaxProduct.rate == Decimal(23))).one()
    ana.post(f"/acme/nexudus/products/{row.id}", data={"product": str(other["Id"])})
    ana.post(f"/acme/nexudus/exports/{export.id}/retry")
    bell.answer()
    assert fresh(invoice).status == InvoiceStatus.CLOSED


def test_one_invoice_that_nexudus_cannot_show_does_not_hold_up_the_others(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = newer_invoice(customer), newer_invoice(customer)
    real = Nexudus.sale
    cursed: list[int] = []

    def sale(self: Nexudus, sale_id: int) -> Any:
        found = real(self, sale_id)
        if not cursed:
            cursed.append(sale_id)
        return found.model_copy(update={"invoice_id": None, "invoiced": True}) if sale_id in cursed else found

    monkeypatch.setattr(Nexudus, "sale", sale)
    ana.post("/acme/nexudus/exports/now")
    bell.answer()
    work_again(bell, rounds=5)
    assert fresh(first).status == InvoiceStatus.PENDING
    assert fresh(second).status == InvoiceStatus.CLOSED


def test_a_failing_list_of_members_does_not_keep_invoices_back(
    cast: Cast, ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = newer_invoice(customer)
    make.customer(cast.acme)

    def fails(self: Nexudus, *args: Any, **options: Any) -> Any:
        raise NotSent("Nexudus does not answer.")

    monkeypatch.setattr(Nexudus, "members_page", fails)
    ana.post("/acme/nexudus/exports/now")
    bell.answer()
    work_again(bell, rounds=3)
    assert fresh(invoice).status == InvoiceStatus.CLOSED


def test_export_now_during_a_run_takes_what_came_since(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer_invoice(customer)
    ana.post("/acme/nexudus/exports/now")
    late = newer_invoice(customer, status=InvoiceStatus.DRAFT)
    late_id = late.id

    def issue_and_press() -> None:
        ana.post(f"/acme/invoices/{late_id}/issue")
        ana.post("/acme/nexudus/exports/now")

    once_before(monkeypatch, Nexudus, "invoice_sales", issue_and_press)
    bell.answer()
    work_again(bell)
    assert fresh(late).status == InvoiceStatus.CLOSED


class _Breaks(requests.adapters.BaseAdapter):
    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        reason = UrllibSSLError(ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC]"))
        raise requests.exceptions.SSLError(MaxRetryError(None, "/", reason), request=request)  # type: ignore[arg-type]

    def close(self) -> None:
        pass


def test_tls_that_breaks_while_the_answer_comes_leaves_the_outcome_unknown() -> None:
    door = Door("https://nexudus.example", _Breaks())
    with pytest.raises(OutcomeUnknown):
        door.send("POST", "/api/billing/coworkerinvoices", data=b"{}")


def test_the_run_by_itself_can_be_opened_as_a_page(ana: Visitor, there: There, connected: Connection) -> None:
    assert ana.get("/acme/nexudus/members/run").status_code in (200, 302, 303)


@pytest.mark.parametrize(
    "path",
    [
        "/acme/nexudus/members?page=99999999999999999999",
        "/acme/nexudus/exports?page=99999999999999999999",
        "/acme/nexudus/exports/held?page=99999999999999999999",
        "/acme/nexudus/exports/held?cause=%00",
        "/acme/nexudus/customers/99999999999999999999/panel",
        "/acme/nexudus/exports/runs/99999999999999999999",
        "/acme/nexudus/customers/1/members?q=%00",
        "/acme/customers?page=99999999999999999999",
        "/acme/invoices/99999999999999999999",
    ],
)
def test_absurd_addresses_are_no_fault_of_ours(ana: Visitor, there: There, customer: Customer, path: str) -> None:
    assert ana.get(path.replace("/1/", f"/{customer.id}/")).status_code < 500


@pytest.mark.parametrize("member_id", ["99999999999999999999", "-1", "\0"])
def test_absurd_member_ids_are_refused(ana: Visitor, there: There, customer: Customer, member_id: str) -> None:
    answer = ana.post(f"/acme/nexudus/customers/{customer.id}/link", data={"member_id": member_id, "sure": "yes"})
    assert answer.status_code < 500


@pytest.mark.parametrize("reason", ["a\0b", "a\u202eb"])
def test_a_reason_nobody_can_type_is_refused(ana: Visitor, there: There, customer: Customer, reason: str) -> None:
    answer = ana.post(f"/acme/nexudus/customers/{customer.id}/unlink", data={"reason": reason})
    assert answer.status_code == 422
    invoice = newer_invoice(customer)
    answer = ana.post(f"/acme/nexudus/invoices/{invoice.id}/hold", data={"reason": reason})
    assert answer.status_code == 422


def test_customers_not_connected_lists_who_needs_a_choice(
    cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
) -> None:
    make.customer(cast.acme, "Yuki Fennimore", email="yuki@fennimore.example")
    there.member("yuki@fennimore.example")
    there.member("YUKI@fennimore.example")
    work_again(bell)
    assert "Yuki Fennimore" in ana.get("/acme/nexudus/members?show=not_linked").text


def test_disconnecting_while_a_member_is_searched_is_no_500(
    ana: Visitor, there: There, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    once_before(monkeypatch, Nexudus, "members_with_email", lambda: ana.post("/acme/nexudus/disconnect"))
    answer = ana.get(f"/acme/nexudus/customers/{customer.id}/members?q=a@quill.example", htmx=True)
    assert answer.status_code < 500


def test_the_command_refuses_whole_invoices_where_nexudus_does_not_take_them(
    cast: Cast, there: There, run_command: Callable[..., Any]
) -> None:
    done = run_command(
        "nexudus",
        "connect",
        "--account",
        "acme",
        "--email",
        EMAIL,
        "--writer",
        "document",
        "--json",
        typed=PASSWORD + "\n",
    )
    assert done.exit_code == 1


def test_a_held_invoice_that_was_paid_here_is_held_no_more(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    invoice = newer_invoice(customer, lines=[("Storage", "1", 1000, "19")])
    export_now(ana, bell)
    assert export_of(invoice) is not None
    with unit_of_work():
        collecting.mark_paid_by_hand(db.session.get_one(Invoice, invoice.id), collecting.PaidBy.CASH)
    work_again(bell)
    assert export_of(invoice) is None

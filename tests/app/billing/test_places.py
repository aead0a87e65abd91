"""Locations: who may change them, what a change does to the customers there, and what stays as it is."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from app import clock
from app.accounts.models import Location, User
from app.audit import AuditEntry
from app.billing import customers, life, plans, subscriptions
from app.billing.life_models import PlannedMove
from app.billing.models import Customer, CustomerStatus, Invoice
from app.billing.subscription_models import Cycle, Subscription
from app.db import db, unit_of_work
from plugins.mail_monitor.models import EmailAccount, Encryption
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries

LOCATIONS = "/acme/settings/locations"
NOON = "2026-03-10 12:00:00+00:00"
PLACE: dict[str, Any] = {
    "name": "Mill Lane",
    "address": "Rua do Moinho 21",
    "postcode": "1350-204",
    "city": "Lisboa",
    "country": "PT",
    "timezone": "Europe/Lisbon",
    "currency": "EUR",
    "tax_rate": "23",
}


@pytest.fixture
def noon() -> Iterator[None]:
    """Before everything else, so that people sign in at that time, too."""
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ana)


@pytest.fixture
def mill(cast: Cast) -> Location:
    return make.location(cast.acme, **{**PLACE, "tax_rate": Decimal(23)})


def at(location: Location) -> str:
    return f"{LOCATIONS}/{location.id}"


def subscribed(cast: Cast, location: Location, starts: date = date(2026, 4, 1)) -> Customer:
    """An active customer whose first period is billed on 1 April."""
    customer = make.customer(cast.acme, location=location)
    with unit_of_work():
        plan = plans.add(cast.acme, plans.PlanDetails(f"Plan {customer.id}", "business", "39", location.currency))
        held = customers.locked(cast.acme, customer.id)
        subscriptions.begin(subscriptions.take(held, plan, Cycle.MONTHLY, starts))
    return customer


def planned(cast: Cast, location: Location, day: date) -> Customer:
    customer = make.customer(cast.acme, location=location, status=CustomerStatus.INACTIVE)
    with unit_of_work():
        life.schedule(customers.locked(cast.acme, customer.id), day)
    return customer


def due(model: Any) -> list[Any]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(model.due_at).order_by(model.id)))


def test_an_operator_adds_a_location(ana: Visitor, cast: Cast) -> None:
    assert ana.post(f"{LOCATIONS}/new", data=PLACE | {"tax_rate": "5,5"}).location == LOCATIONS

    found = db.session.scalars(sa.select(Location).where(Location.name == "Mill Lane")).one()
    assert (found.account_id, found.currency, found.tax_rate) == (cast.acme.id, "EUR", Decimal("5.5"))
    page = ana.get(LOCATIONS).text
    assert "Rua do Moinho 21, 1350-204 Lisboa" in page
    assert "5.5%" in page


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", "", "A location needs a name."),
        ("name", "ACME", "Another location has this name already."),
        ("name", "x\u202e", "a character nobody can see"),
        ("postcode", "1" * 21, "there is room for 20"),
        ("country", "XX", "Not a valid choice."),
        ("timezone", "Mars/Olympus", "Not a valid choice."),
        ("currency", "XXX", "Not a valid choice."),
        ("tax_rate", "101", "between 0 and 100"),
        ("tax_rate", "-1", "between 0 and 100"),
        ("tax_rate", "1.0001", "At most 3 decimals"),
        ("tax_rate", "NaN", "is not a number"),
    ],
)
def test_what_cannot_be_taken_is_said_at_the_field(
    ana: Visitor, mill: Location, field: str, typed: str, sentence: str
) -> None:
    for path in (f"{LOCATIONS}/new", at(mill)):
        answer = ana.post(path, data=PLACE | {"city": "Kept as typed", field: typed})
        assert answer.status_code == 422
        assert sentence in answer.text
        assert "Kept as typed" in answer.text
    assert len(db.session.scalars(sa.select(Location).where(Location.city == "Kept as typed")).all()) == 0


def test_two_accounts_may_have_locations_of_the_same_name(ana: Visitor, cast: Cast) -> None:
    make.location(cast.zenith, "Mill Lane")

    assert ana.post(f"{LOCATIONS}/new", data=PLACE).status_code == 303


def test_another_accounts_location_is_not_there(ana: Visitor, cast: Cast) -> None:
    theirs = cast.zenith.locations[0]

    for path in (at(theirs), f"{at(theirs)}/delete"):
        assert ana.get(path).status_code == 404
        assert ana.post(path, data=PLACE).status_code == 404
    assert db.session.scalar(sa.select(Location.name).where(Location.id == theirs.id)) == "Zenith"


def test_an_admin_reads_the_list_and_changes_nothing(
    cast: Cast, sign_in: Callable[[User], Visitor], mill: Location
) -> None:
    ben = sign_in(cast.ben)

    assert "Mill Lane" in ben.get(LOCATIONS).text
    assert "Add location" not in ben.get(LOCATIONS).text
    for path in (f"{LOCATIONS}/new", at(mill), f"{at(mill)}/delete"):
        assert ben.post(path, data=PLACE).status_code == 403


def test_the_list_costs_the_same_however_long(ana: Visitor, cast: Cast) -> None:
    with counted_queries() as few:
        ana.get(LOCATIONS)
    for number in range(30):
        make.customer(cast.acme, location=make.location(cast.acme, f"Place {number}"))
    with counted_queries() as many:
        page = ana.get(LOCATIONS)

    assert many.count == few.count
    assert "1 to 25 of 31" in page.text


class TestChanging:
    def test_issued_invoices_keep_their_tax(self, ana: Visitor, cast: Cast, mill: Location) -> None:
        invoice = make.invoice(make.customer(cast.acme, location=mill))
        before = invoice.total_minor

        ana.post(at(mill), data=PLACE | {"tax_rate": "6"})

        db.session.rollback()
        assert db.session.get_one(Invoice, invoice.id).total_minor == before
        assert db.session.get_one(Location, mill.id).tax_rate == Decimal(6)
        noted = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "location_changed")).one()
        assert noted.details["fields"] == ["tax_rate"]

    def test_saving_the_same_changes_nothing(self, ana: Visitor, mill: Location) -> None:
        ana.post(at(mill), data=PLACE)

        assert "Nothing was changed." in ana.get(LOCATIONS).text

    @pytest.mark.usefixtures("noon")
    @pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
    def test_what_is_planned_keeps_its_day_in_another_zone(
        self, ana: Visitor, cast: Cast, mill: Location, zone: str
    ) -> None:
        days = [date(2026, 3, 20) + timedelta(days=number) for number in range(14)]  # clocks change on 29 March
        for day in days:
            planned(cast, mill, day)
        subscribed(cast, mill)
        elsewhere = planned(cast, cast.acme.locations[0], days[0])

        assert ana.post(at(mill), data=PLACE | {"timezone": zone}).status_code == 303

        assert due(PlannedMove) == [
            *(clock.start_of(day, zone) for day in days),
            clock.start_of(days[0], "Europe/Lisbon"),
        ]
        assert due(Subscription) == [clock.start_of(date(2026, 4, 1), zone)]
        assert life.planned(db.session.get_one(Customer, elsewhere.id)) is not None

    @pytest.mark.usefixtures("noon")
    def test_days_do_not_run_into_each_other_where_zones_are_a_whole_day_apart(
        self, ana: Visitor, cast: Cast, mill: Location
    ) -> None:
        days = [date(2026, 3, 20), date(2026, 3, 21), date(2026, 3, 22)]
        for day in days:
            planned(cast, mill, day)

        for zone in ("Pacific/Pago_Pago", "Pacific/Fakaofo", "Pacific/Pago_Pago"):
            ana.post(at(mill), data=PLACE | {"timezone": zone})
            assert due(PlannedMove) == [clock.start_of(day, zone) for day in days]

    @pytest.mark.usefixtures("noon")
    def test_a_row_that_waits_for_another_try_keeps_its_moment(self, ana: Visitor, cast: Cast, mill: Location) -> None:
        planned(cast, mill, date(2026, 3, 20))
        later = clock.now() + timedelta(minutes=7)
        with unit_of_work() as rows:
            rows.execute(sa.update(PlannedMove).values(due_at=later))

        ana.post(at(mill), data=PLACE | {"timezone": "Asia/Tokyo"})

        assert due(PlannedMove) == [later]

    def test_the_currency_stays_while_somebody_is_billed_in_it(self, ana: Visitor, cast: Cast, mill: Location) -> None:
        customer = subscribed(cast, mill, clock.today("Europe/Lisbon"))
        answer = ana.post(at(mill), data=PLACE | {"currency": "GBP", "name": "Renamed"})
        assert answer.status_code == 422
        assert "1 subscription is billed in EUR here." in answer.text
        with unit_of_work():
            life.cancel(customers.locked(cast.acme, customer.id))

        assert ana.post(at(mill), data=PLACE | {"currency": "GBP"}).status_code == 303

        db.session.rollback()
        assert db.session.get_one(Location, mill.id).currency == "GBP"

    def test_a_subscription_elsewhere_does_not_matter(self, ana: Visitor, cast: Cast, mill: Location) -> None:
        subscribed(cast, cast.acme.locations[0], clock.today("Europe/Lisbon"))

        assert ana.post(at(mill), data=PLACE | {"currency": "GBP"}).status_code == 303


class TestDeleting:
    def test_an_empty_location_goes(self, ana: Visitor, mill: Location) -> None:
        mill_id = mill.id
        assert "Delete Mill Lane?" in ana.get(f"{at(mill)}/delete", htmx=True).text

        assert ana.post(f"{at(mill)}/delete").location == LOCATIONS

        assert db.session.scalar(sa.select(Location.id).where(Location.id == mill_id)) is None

    def test_one_with_customers_stays_and_says_so(self, ana: Visitor, cast: Cast, mill: Location) -> None:
        make.customer(cast.acme, location=mill, status=CustomerStatus.CANCELLED)
        assert "1 customer belongs to Mill Lane" in ana.get(f"{at(mill)}/delete").text

        answer = ana.post(f"{at(mill)}/delete")

        assert answer.status_code == 409
        assert "Give them another location first." in answer.text
        assert db.session.get(Location, mill.id) is not None

    def test_one_that_a_plugin_needs_stays(self, ana: Visitor, cast: Cast, mill: Location) -> None:
        installation = make.installation(cast.acme, "mail_monitor")
        with unit_of_work() as rows:
            rows.add(
                EmailAccount(
                    account_id=cast.acme.id,
                    installation_id=installation.id,
                    location_id=mill.id,
                    display_name="Front desk",
                    email_address="desk@acme.example",
                    address_key="desk@acme.example",
                    active=False,
                    incoming_host="imap.acme.example",
                    incoming_port=993,
                    incoming_encryption=Encryption.TLS,
                    incoming_user="desk",
                )
            )

        answer = ana.post(f"{at(mill)}/delete")

        assert answer.status_code == 409
        assert "such as an email account" in answer.text
        db.session.rollback()
        assert db.session.get(Location, mill.id) is not None
        assert db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "location_deleted")).all() == []

    def test_the_last_one_stays(self, ana: Visitor, cast: Cast) -> None:
        answer = ana.post(f"{at(cast.acme.locations[0])}/delete")

        assert answer.status_code == 409
        assert "at least one location" in answer.text

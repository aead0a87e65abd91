"""Locations: adding, changing, deleting, and what that means for the customers there. Changes rows, never commits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast
from zoneinfo import available_timezones

import sqlalchemy as sa
from babel.numbers import get_territory_currencies
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.exc import IntegrityError

from app import audit, clock
from app.accounts.models import Account, Location, Membership
from app.accounts.services import COUNTRIES
from app.billing.life_models import PlannedMove
from app.billing.models import Customer
from app.billing.plans import RATE_DECIMALS
from app.billing.subscription_models import Subscription
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from app.formats import number
from app.typed import decimal, fold, line, tidy

PER_PAGE = 25
_LEGACY = ("Etc/", "SystemV/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/")
ZONES = ["UTC", *sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(_LEGACY))]
TENDER = sorted({code for country in COUNTRIES for code in get_territory_currencies(country)})


@dataclass(frozen=True, slots=True)
class Place:
    """What a person says about a location, as typed; the tax rate in percent."""

    name: str
    country: str
    timezone: str
    currency: str
    tax_rate: str = "0"
    address: str = ""
    city: str = ""
    postcode: str = ""

    @classmethod
    def of(cls, location: Location) -> "Place":
        """A location as somebody would type it."""
        texts = {name: getattr(location, name) for name in cls.__slots__ if name != "tax_rate"}
        return cls(tax_rate=number(location.tax_rate), **texts)

    def checked(self) -> dict[str, Any]:
        """The columns of the location; raises `InvalidInput` for the field that cannot be taken."""
        name = line(self.name, 120, "name")
        if not name:
            raise InvalidInput("A location needs a name.", "name")
        if self.country not in COUNTRIES:
            raise InvalidInput("Choose a country.", "country")
        if self.timezone not in available_timezones():
            raise InvalidInput("Choose a time zone.", "timezone")
        if self.currency not in TENDER:
            raise InvalidInput("Choose a currency.", "currency")
        rate = decimal(tidy(self.tax_rate) or "0", "tax_rate", RATE_DECIMALS)
        if not 0 <= rate <= 100:
            raise InvalidInput("A tax rate is between 0 and 100.", "tax_rate")
        return asdict(self) | {
            "name": name,
            "tax_rate": rate,
            "address": line(self.address, 300, "address"),
            "city": line(self.city, 120, "city"),
            "postcode": line(self.postcode, 20, "postcode"),
        }


def find(account: Account, page: int) -> Pagination:
    """One page of the locations, by name."""
    query = sa.select(Location).where(Location.account_id == account.id).order_by(Location.name, Location.id)
    return db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)


def customers_at(locations: Sequence[Location]) -> dict[int, int]:
    """How many customers each location has; those without one are left out."""
    query = sa.select(Customer.location_id, sa.func.count()).where(
        Customer.location_id.in_([one.id for one in locations])
    )
    return dict(db.session.execute(query.group_by(Customer.location_id)).all())


def get(account: Account, location_id: int) -> Location:
    """The location with this id in this account, or `NotFound`."""
    return _found(db.session.scalars(_one(account, location_id)).one_or_none())


def add(account: Account, place: Place) -> Location:
    """A new location. Raises `InvalidInput` for the field that cannot be taken."""
    location = Location(account_id=account.id, **place.checked())
    _refuse_taken(location)
    db.session.add(location)
    _flush()
    audit.record("location_added", location, name=location.name)
    return location


def edit(account: Account, location_id: int, place: Place) -> bool:
    """Take over what changed and answer whether anything did.

    Issued invoices keep what they say. In another zone what is planned there falls due when its day begins in that
    zone; the currency stays while a subscription there is billed in it.
    """
    wanted = place.checked()
    if get(account, location_id).currency != wanted["currency"]:
        # Whoever gives a customer a plan holds the customer first: nobody does while the currency changes.
        db.session.execute(
            sa.select(Customer.id).where(Customer.location_id == location_id).order_by(Customer.id).with_for_update()
        )
    location = _locked(account, location_id)
    before = {name: getattr(location, name) for name in wanted}
    changed = sorted(name for name, value in wanted.items() if before[name] != value)
    if not changed:
        return False
    if "currency" in changed:
        _refuse_other_currency(location)
    if "timezone" in changed:
        _move_days(location, before["timezone"], wanted["timezone"])
    for name in changed:
        setattr(location, name, wanted[name])
    _refuse_taken(location)
    _flush()
    audit.record("location_changed", location, fields=changed)
    return True


def why_it_stays(account: Account, location: Location) -> str:
    """Why a location cannot be deleted, as far as the host can see; "" when it can."""
    if len(account.locations) == 1:
        return "An account has at least one location."
    count = customers_at([location]).get(location.id, 0)
    if count:
        who = "1 customer belongs" if count == 1 else f"{count} customers belong"
        return f"{who} to {location.name}, cancelled ones included. Give them another location first."
    return ""


def delete(account: Account, location_id: int) -> str:
    """Delete a location that nothing belongs to, and answer its name; raises `Conflict` with what belongs to it."""
    db.session.execute(sa.select(Account.id).where(Account.id == account.id).with_for_update(key_share=True))
    location = _locked(account, location_id)
    db.session.refresh(account, ["locations"])
    if why := why_it_stays(account, location):
        raise Conflict(why)
    name = location.name
    # Who was told about mail of this location alone is told about all: rather too much than nothing.
    db.session.execute(
        sa.update(Membership)
        .where(Membership.location_id == location.id)
        .values(location_id=None)
        .execution_options(synchronize_session=False)
    )
    audit.record("location_deleted", location, name=name)
    try:
        with db.session.begin_nested():
            db.session.delete(location)
    except IntegrityError as error:
        raise Conflict(f"Something else belongs to {name}, such as an email account. Remove that first.") from error
    return name


def _move_days(location: Location, before: str, after: str) -> None:
    """Let what falls due at the beginning of a day here do so when that day begins in the new zone.

    What is due already, or waits for another try, keeps its moment; planned moves look at the day once more anyway.
    """
    here = sa.select(Customer.id).where(Customer.location_id == location.id)
    for model in (PlannedMove, Subscription):
        table = cast("sa.Table", model.__table__)
        due_at = table.c.due_at
        later = sa.and_(table.c.customer_id.in_(here), due_at > clock.now())
        moved = {
            start: clock.start_of(day, after)
            for start in db.session.scalars(sa.select(due_at).where(later).distinct())
            if clock.start_of(day := clock.local(start, before).date(), before) == start
        }
        if moved:
            # One statement, so that no row moves twice where the new moment of one day is the old one of another.
            cases = [(due_at == start, sa.literal(moment, due_at.type)) for start, moment in moved.items()]
            db.session.execute(
                sa.update(table).where(later).values(due_at=sa.case(*cases, else_=due_at), nudged_at=None)
            )


def _refuse_other_currency(location: Location) -> None:
    today = clock.today(location.timezone)
    query = (
        sa.select(sa.func.count())
        .select_from(Subscription)
        .join(Customer)
        .where(
            Customer.location_id == location.id,
            Subscription.currency == location.currency,
            Subscription.ended_on.is_(None) | (Subscription.ended_on > today),
        )
    )
    count = db.session.scalar(query) or 0
    if count:
        raise InvalidInput(
            f"{count} subscription{' is' if count == 1 else 's are'} billed in {location.currency} here. "
            "End or change them first, or add another location.",
            "currency",
        )


def _refuse_taken(location: Location) -> None:
    query = sa.select(Location).where(Location.account_id == location.account_id)
    with db.session.no_autoflush:
        others = [one for one in db.session.scalars(query) if one is not location]
    if fold(location.name) in {fold(one.name) for one in others}:
        raise InvalidInput("Another location has this name already.", "name")


def _flush() -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        raise Conflict("Somebody else took this name a moment ago. Save again.") from error


def _one(account: Account, location_id: int) -> sa.Select[Location]:
    return sa.select(Location).where(Location.account_id == account.id, Location.id == location_id)


def _locked(account: Account, location_id: int) -> Location:
    query = _one(account, location_id).with_for_update().execution_options(populate_existing=True)
    return _found(db.session.scalars(query).one_or_none())


def _found(location: Location | None) -> Location:
    if location is None:
        raise NotFound("There is no such location.")
    return location

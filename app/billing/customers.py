"""Customers: finding them, adding and changing them. What moves them from status to status is `life`. Never commits."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import sqlalchemy as sa
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from app import audit
from app.accounts.models import Account, Location
from app.accounts.services import COUNTRIES, checked_email
from app.billing import deciding
from app.billing.models import Customer, CustomerStatus
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from app.events import CustomerChanged
from app.installations.services import announce
from app.payments.cards import lacks_billing_info
from app.typed import email_key, fold, problem_of, tidy

PER_PAGE = 25
FIRST_MAILBOX_NUMBER = 1001
# Who else keeps a copy of these hears of a change: see `edit`.
CONTACT_DATA = frozenset({"full_name", "email", "company", "phone", "address", "city", "postcode", "country"})
_LENGTHS = {
    column.name: column.type.length
    for column in Customer.__table__.columns
    if isinstance(column.type, sa.String) and column.type.length
}


@dataclass(frozen=True, slots=True)
class Details:
    """What a person says about a customer. An empty mailbox number stands for "none", or for the next free one."""

    full_name: str
    email: str
    location_id: int
    company: str = ""
    phone: str = ""
    address: str = ""
    city: str = ""
    postcode: str = ""
    country: str = ""
    mailbox_number: str = ""

    def problems(self) -> dict[str, str]:
        """What cannot be taken: a sentence per field. Nothing here asks the database."""
        found = {name: problem for name, text in self.texts() if (problem := problem_of(text, _LENGTHS[name]))}
        if not tidy(self.full_name):
            found["full_name"] = "A customer needs a name."
        if "email" not in found:
            try:
                checked_email(self.email)
            except InvalidInput as error:
                found["email"] = error.sentence
        if "country" not in found and tidy(self.country) and tidy(self.country) not in COUNTRIES:
            found["country"] = f"“{tidy(self.country)}” is no country code such as PT."
        return found

    @classmethod
    def text_names(cls) -> list[str]:
        """The names of all fields that hold text."""
        return [one.name for one in fields(cls) if one.name != "location_id"]

    def texts(self) -> list[tuple[str, str]]:
        """Every text field by name, tidied."""
        return [(name, tidy(getattr(self, name))) for name in self.text_names()]


@dataclass(frozen=True, slots=True)
class Search:
    """What a list of customers is narrowed to. `billed_by` is a plugin's name, "" for the host, None for any."""

    text: str = ""
    status: CustomerStatus | None = None
    billed_by: str | None = None
    location_id: int | None = None
    backwards: bool = False
    lacks_billing_info: bool = False


def find(account: Account, wanted: Search, page: int = 1) -> Pagination:
    """One page of customers by name; every word of the text must occur in name, company, email or number."""
    return db.paginate(_query(account, wanted), page=page, per_page=PER_PAGE, error_out=False)


def each(account: Account, wanted: Search, most: int) -> Iterator[Customer]:
    """The same without pages, at most `most`, read in pieces."""
    return db.session.scalars(_query(account, wanted).limit(most).execution_options(yield_per=500))


def _query(account: Account, wanted: Search) -> sa.Select[Customer]:
    query = sa.select(Customer).where(Customer.account_id == account.id)
    if wanted.status is not None:
        query = query.where(Customer.status == wanted.status)
    if wanted.billed_by is not None:
        query = query.where(Customer.billed_by == wanted.billed_by)
    if wanted.location_id is not None:
        query = query.where(Customer.location_id == wanted.location_id)
    if wanted.lacks_billing_info:
        query = query.where(lacks_billing_info())
    for word in fold(tidy(wanted.text)).split()[:10]:
        query = query.where(Customer.search_key.contains(word, autoescape=True))
    order = (Customer.name_key, Customer.id)
    query = query.order_by(*((column.desc() for column in order) if wanted.backwards else order))
    return query.options(selectinload(Customer.location))  # a join would be made for all pages before, too


def count_by_status(account: Account) -> dict[CustomerStatus, int]:
    """How many customers are in each status."""
    rows = db.session.execute(
        sa.select(Customer.status, sa.func.count()).where(Customer.account_id == account.id).group_by(Customer.status)
    )
    counts = dict(rows.all())
    return {status: counts.get(status, 0) for status in CustomerStatus}


def get(account: Account, customer_id: int) -> Customer:
    """The customer with this id in this account, or `NotFound`."""
    return _found(db.session.scalars(_one(account, customer_id)).one_or_none())


def locked(account: Account, customer_id: int) -> Customer:
    """As `get`, read anew inside a unit of work; nobody else changes the customer until that is committed."""
    # Not the key: an invoice may be written for a customer whom somebody else holds, as PostgreSQL sees it.
    query = _one(account, customer_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    return _found(db.session.scalars(query).one_or_none())


def add(account: Account, details: Details, *, pick_number: bool = False) -> Customer:
    """A new, inactive customer. Without a mailbox number there is none, or with `pick_number` the next free one.

    Raises `InvalidInput` for the field that cannot be taken.
    """
    _refuse_problems(details)
    customer = Customer(account_id=account.id, status=CustomerStatus.INACTIVE)
    _fill(account, customer, details)
    if pick_number and customer.mailbox_number is None:
        customer.mailbox_number = next_mailbox_number(customer.location_id)
    db.session.add(customer)
    flush()
    audit.record("customer_added", customer)
    return customer


def edit(account: Account, customer: Customer, details: Details) -> bool:
    """Take over what changed and answer whether anything did; changed contact data is announced."""
    _refuse_problems(details)
    _fill(account, customer, details)
    changed = sorted(one.key for one in sa.inspect(customer).attrs if one.history.has_changes())
    if not changed:
        return False
    flush()
    audit.record("customer_changed", customer, fields=changed)
    if CONTACT_DATA.intersection(changed):
        announce(CustomerChanged(customer.account_id, customer.id))
    return True


def set_billed_by(customer: Customer, plugin: str) -> None:
    """Say which plugin bills a customer from now on; "" is the host itself. Called by plugins on link and unlink."""
    if customer.billed_by != plugin:
        before, customer.billed_by = customer.billed_by, plugin
        audit.record("billed_by", customer, before=before, now=plugin)
    deciding.decided(customer)


def set_billed_by_for_all(account: Account, plugin: str, chosen: sa.Select[int]) -> None:
    """The same for all customers whose ids `chosen` selects; whoever else this plugin billed is billed by the host."""
    theirs = sa.and_(Customer.account_id == account.id, Customer.id.in_(chosen))
    before = sa.and_(Customer.account_id == account.id, Customer.billed_by == plugin, Customer.id.not_in(chosen))
    for which, now in ((before, ""), (theirs, plugin)):
        changed = db.session.execute(
            sa.update(Customer).where(which, Customer.billed_by != now).values(billed_by=now).returning(Customer.id)
        )
        audit.record("billed_by_for_all", account, now=now, plugin=plugin, customers=len(changed.all()))
    db.session.execute(
        sa.update(Customer)
        .where(Customer.account_id == account.id, Customer.billing_undecided_until.is_not(None))
        .values(billing_undecided_until=None)
    )


def next_mailbox_number(location_id: int) -> str:
    """One more than the highest number at a location; the location stays locked until the unit is committed.

    A number is not given again by itself when it is free: mail for whoever had it may still come.
    """
    db.session.execute(sa.select(Location.id).where(Location.id == location_id).with_for_update())
    number = Customer.mailbox_number
    highest = db.session.scalar(
        sa.select(sa.func.max(sa.cast(number, sa.Integer))).where(
            Customer.location_id == location_id,
            # Not what somebody made up: "A-7", or a number longer than ours will ever be.
            sa.func.ltrim(number, "0123456789") == "",
            sa.func.length(number).between(1, 7),
        )
    )
    return str((highest or FIRST_MAILBOX_NUMBER - 1) + 1)


def _one(account: Account, customer_id: int) -> sa.Select[Customer]:
    return sa.select(Customer).where(Customer.account_id == account.id, Customer.id == customer_id)


def _found(customer: Customer | None) -> Customer:
    if customer is None:
        raise NotFound("There is no such customer.")
    return customer


def _refuse_problems(details: Details) -> None:
    for name, sentence in details.problems().items():
        raise InvalidInput(sentence, name)


def _fill(account: Account, customer: Customer, details: Details) -> None:
    if details.location_id not in {location.id for location in account.locations}:
        raise InvalidInput("Choose one of your locations.", "location_id")
    customer.location_id = details.location_id
    for name, text in details.texts():
        setattr(customer, name, text)
    customer.email = checked_email(customer.email)
    customer.email_key = email_key(customer.email)
    customer.mailbox_number = customer.mailbox_number or None
    _refuse_taken(customer)


def _refuse_taken(customer: Customer) -> None:
    """Name the customer who has the email or the mailbox number already."""
    others = sa.select(Customer).where(Customer.account_id == customer.account_id)
    if customer.id is not None:
        others = others.where(Customer.id != customer.id)
    clash = Customer.email_key == customer.email_key
    if customer.mailbox_number is not None:
        clash |= (Customer.location_id == customer.location_id) & (Customer.mailbox_number == customer.mailbox_number)
    with db.session.no_autoflush:
        taken = db.session.scalars(others.where(clash)).all()
    same_email = next((one for one in taken if one.email_key == customer.email_key), None)
    same_number = next((one for one in taken if one is not same_email), None)
    if same_email:
        raise InvalidInput(f"{same_email.full_name} has this email already.", "email")
    if same_number:
        raise InvalidInput(f"{same_number.full_name} has this number already.", "mailbox_number")


def flush() -> None:
    """Write what changed; `Conflict` when an email or a mailbox number was taken by somebody else a moment ago."""
    try:
        db.session.flush()
    except IntegrityError as error:
        # Somebody else took the email or the number between our look and our write.
        raise Conflict("Somebody else took this email or mailbox number a moment ago. Save again.") from error

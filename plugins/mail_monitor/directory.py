"""Which customers have which addresses: the main ones and recipients' that the host keeps, and those kept here."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from app.billing import recipients
from app.billing.life_models import RecipientEmail
from app.billing.models import Customer
from app.db import db
from plugins.mail_monitor.address_lists import DOTLESS, address_key, plain_key
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import How
from plugins.mail_monitor.senders import Known, Match
from plugins.mail_monitor.waiting import CustomerAddress, OtherRecipient, RememberedAddress, StubAddress

MAIN = "the main address"


def known_for(
    account_id: int, keys: Iterable[str], relays: Iterable[str] = (), results_servers: tuple[str, ...] = ()
) -> Known:
    """What the account knows of the addresses `keys`, for deciding about messages of one email account."""
    keys = set(keys)
    exact = matches(account_id, keys)
    strangers = {plain_key(key) for key in keys if key not in exact}
    return Known(
        exact=exact,
        loose=_loose_matches(account_id, strangers, keys, exact),
        remembered=_remembered(account_id, keys),
        own=own_keys(account_id),
        relays=frozenset(address_key(relay) for relay in relays),
        results_servers=results_servers,
    )


def own_keys(account_id: int) -> frozenset[str]:
    """The addresses that the account itself watches; a customer never has one of these."""
    return frozenset(
        db.session.scalars(sa.select(EmailAccount.address_key).where(EmailAccount.account_id == account_id))
    )


def matches(account_id: int, keys: set[str]) -> dict[str, list[Match]]:
    """By address key, whoever has exactly that address, main addresses first."""
    found: dict[str, list[Match]] = {}
    for some in _portions(keys):
        main = sa.select(Customer.email_key, Customer.id).where(
            Customer.account_id == account_id, Customer.email_key.in_(some)
        )
        for key, customer_id in db.session.execute(main):
            found.setdefault(key, []).append(Match(customer_id, How.MAIN_ADDRESS, MAIN))
        further = sa.select(CustomerAddress.address_key, CustomerAddress.customer_id, CustomerAddress.whose).where(
            CustomerAddress.account_id == account_id, CustomerAddress.address_key.in_(some)
        )
        for key, customer_id, whose in db.session.execute(further):
            found.setdefault(key, []).append(Match(customer_id, How.EXTRA_ADDRESS, which_extra(whose)))
        for one in recipients.known(account_id, some):
            found.setdefault(one.email_key, []).append(_of_recipient(one))
    return {key: _once_each(matches) for key, matches in found.items()}


def claimed(
    model: type[StubAddress | OtherRecipient], column: Any, account_id: int, *where: sa.ColumnElement[bool]
) -> list[int]:
    """`column` of the kept addresses (those with `where`) that are a customer's by now, however each is spelled."""
    if db.session.scalar(sa.select(model.id).where(model.account_id == account_id).limit(1)) is None:
        return []
    mine = sa.and_(model.account_id == account_id, *where)
    found = [
        sa.select(column).join(owner, sa.and_(owner.account_id == model.account_id, key == spelling)).where(mine)
        for owner, key in (
            (Customer, Customer.email_key),
            (CustomerAddress, CustomerAddress.address_key),
            (RecipientEmail, RecipientEmail.email_key),
        )
        for spelling in (model.address_key, model.plain_key)
    ]
    ids = set(db.session.scalars(sa.union(*found)))
    # A customer's own address may be the one with a tag, or with dots where they mean nothing.
    spelled = {plain_key(key) for key, _ in _written_with_tags(account_id, with_dots=True) if plain_key(key) != key}
    for some in _portions(spelled):
        ids.update(db.session.scalars(sa.select(column).where(mine, model.plain_key.in_(some))))
    return sorted(ids)


def _of_recipient(one: recipients.Known) -> Match:
    return Match(one.customer_id, How.EXTRA_ADDRESS, f"an address of the recipient {one.name}")


def _once_each(matches: list[Match]) -> list[Match]:
    """Of several reasons for one customer the first: nobody is asked to choose between a customer and the same one."""
    return list({match.customer_id: match for match in reversed(matches)}.values())[::-1]


def which_extra(whose: str) -> str:
    """How a further address is named in the reason of a filing."""
    return f"an extra address ({whose})" if whose else "an extra address"


def _loose_matches(
    account_id: int, strangers: set[str], asked: set[str], exact: dict[str, list[Match]]
) -> dict[str, list[Match]]:
    """By plain key: who is reached under it, if the tag of either side is left out.

    Of the keys in `asked` it is known already who has them: `exact`. Few addresses have a tag, so few are left to ask.
    """
    if not strangers:
        return {}
    found = {key: list(exact[key]) for key in strangers & exact.keys()} | matches(account_id, strangers - asked)
    for address, match in _written_with_tags(account_id, with_dots=any(_is_dotless(key) for key in strangers)):
        if plain_key(address) in strangers:
            found.setdefault(plain_key(address), []).append(match)
    return found


def _written_with_tags(account_id: int, *, with_dots: bool) -> list[tuple[str, Match]]:
    """Customers whose own address can be written differently: few, except where a provider ignores dots."""
    endings = [f"%@{domain}" for domain in sorted(DOTLESS)] if with_dots else []
    main = sa.select(Customer.email_key, Customer.id).where(
        Customer.account_id == account_id,
        sa.or_(Customer.email_key.contains("+"), *(Customer.email_key.like(ending) for ending in endings)),
    )
    further = sa.select(CustomerAddress.address_key, CustomerAddress.customer_id, CustomerAddress.whose).where(
        CustomerAddress.account_id == account_id,
        sa.or_(
            CustomerAddress.address_key.contains("+"), *(CustomerAddress.address_key.like(ending) for ending in endings)
        ),
    )
    found = [(key, Match(customer_id, How.MAIN_ADDRESS, MAIN)) for key, customer_id in db.session.execute(main)]
    return (
        found
        + [
            (key, Match(customer_id, How.EXTRA_ADDRESS, which_extra(whose)))
            for key, customer_id, whose in db.session.execute(further)
        ]
        + [(one.email_key, _of_recipient(one)) for one in recipients.known_written_as(account_id, ["%+%", *endings])]
    )


def _is_dotless(key: str) -> bool:
    return key.rpartition("@")[2] in DOTLESS


def _remembered(account_id: int, keys: set[str]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for some in _portions(keys):
        rows = db.session.execute(
            sa.select(RememberedAddress.address_key, RememberedAddress.customer_id).where(
                RememberedAddress.account_id == account_id, RememberedAddress.address_key.in_(some)
            )
        )
        found.update(dict(rows.all()))
    return found


def _portions(keys: set[str], size: int = 500) -> list[list[str]]:
    """`keys` in lists that a database takes as parameters."""
    ordered = sorted(keys)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]

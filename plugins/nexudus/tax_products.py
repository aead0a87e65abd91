"""The products that carry invoice lines over there: one per business and tax rate, chosen by a person or made once."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from app import audit
from app.billing.models import Invoice, InvoiceLine, InvoiceStatus
from app.db import db, unit_of_work
from app.effects import Done, Intent, Result, Step, Subject, carry_out, forget
from app.errors import Refused
from plugins.nexudus.client import Nexudus
from plugins.nexudus.models import Connection, TaxProduct
from plugins.nexudus.payloads import TaxRate
from plugins.nexudus.sent import NewProduct
from plugins.nexudus.session import Turn

KIND = "nexudus.product"
OUR_NAME = "SphereMail invoice line"


def percent(rate: Decimal) -> str:
    """A tax rate as people write it: "23", "5.5"."""
    return f"{rate.normalize():f}"


@dataclass(frozen=True, slots=True)
class RateThere:
    """What a tax rate of ours is over there."""

    name: str
    product_id: int | None


def ready(turn: Turn, business_id: int, rates: Iterable[Decimal], *, sells: bool) -> dict[Decimal, RateThere]:
    """What each tax rate is over there; asked for once and then remembered.

    With `sells` each also has a product, made by us if the Operator allowed it. `Refused` "tax_rate_missing" or
    "product_missing" names what a person has to do.
    """
    found = {}
    for rate in sorted(set(rates)):
        row = _row(turn.connection_id, business_id, rate)
        if row is None or (row.tax_rate_id is None and rate != 0):
            row = _look_for_rate(turn, business_id, rate)
        if sells and row.product_id is None:
            row = _product_for(turn, row)
        found[rate] = RateThere(row.tax_rate_name, row.product_id)
    db.session.rollback()
    return found


def prepare(turn: Turn) -> None:
    """Once after connecting: look up the tax rates of the account's invoices, so that a person can map them early."""
    connection = db.session.get_one(Connection, turn.connection_id)
    known = sa.select(TaxProduct.id).where(TaxProduct.connection_id == connection.id).limit(1)
    if db.session.scalar(known) is not None:
        return
    used = (
        sa.select(InvoiceLine.tax_rate)
        .join(Invoice)
        .where(Invoice.account_id == connection.account_id, Invoice.status == InvoiceStatus.PENDING)
    )
    rates, business_id = set(db.session.scalars(used.distinct())), connection.business_id
    db.session.rollback()
    there = {one.rate: one for one in turn.remote.tax_rates(business_id)} if rates else {}
    for rate in sorted(rates & (there.keys() | {Decimal(0)})):
        _remember_rate(turn, business_id, rate, there.get(rate))


def forget_products(turn: Turn) -> None:
    """Products of ours that Nexudus does not take any more: the next try finds or makes others.

    What a person chose stays chosen.
    """
    ours = sa.and_(TaxProduct.connection_id == turn.connection_id, TaxProduct.product_name.startswith(OUR_NAME))
    with unit_of_work() as session:
        turn.lease.renew()
        ids = session.scalars(sa.select(TaxProduct.id).where(ours)).all()
        session.execute(sa.update(TaxProduct).where(ours).values(product_id=None, product_name="", made_by_us=False))
        for row_id in ids:
            connection = session.get_one(Connection, turn.connection_id)
            forget(Subject(connection.account_id, KIND, row_id))


def choose(connection: Connection, row: TaxProduct, product_id: int, name: str, by: str) -> None:
    """A person says which product carries a tax rate."""
    row.product_id, row.product_name, row.made_by_us = product_id, name, False
    audit.record("product_chosen", row, actor=by, product_id=product_id, rate=percent(row.rate))


def _row(connection_id: int, business_id: int, rate: Decimal) -> TaxProduct | None:
    return db.session.scalar(
        sa.select(TaxProduct).where(
            TaxProduct.connection_id == connection_id, TaxProduct.business_id == business_id, TaxProduct.rate == rate
        )
    )


def _look_for_rate(turn: Turn, business_id: int, rate: Decimal) -> TaxProduct:
    db.session.rollback()
    there = next((one for one in turn.remote.tax_rates(business_id) if one.rate == rate), None)
    if there is None and rate != 0:
        raise Refused(
            f"Nexudus has no tax rate of {percent(rate)} %. Add it there, then check again.", code="tax_rate_missing"
        )
    return _remember_rate(turn, business_id, rate, there)


def _remember_rate(turn: Turn, business_id: int, rate: Decimal, there: TaxRate | None) -> TaxProduct:
    with unit_of_work() as session:
        turn.lease.renew()
        row = _row(turn.connection_id, business_id, rate)
        if row is None:
            connection = session.get_one(Connection, turn.connection_id)
            row = TaxProduct(
                account_id=connection.account_id, connection_id=connection.id, business_id=business_id, rate=rate
            )
            session.add(row)
        row.tax_rate_id, row.tax_rate_name = (there.id, there.name) if there else (None, "")
    return row


@dataclass(frozen=True, slots=True)
class MakeProduct:
    """Add a product of ours to the price list; found again by its name."""

    new: NewProduct
    key: str = "create"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        return {"product_id": remote.create_product(intent, self.new)}

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        found = find_ours(remote, self.new)
        return None if found is None else {"product_id": found}


def find_ours(remote: Nexudus, new: NewProduct) -> int | None:
    """A product of this name and tax rate that is there already."""
    return next(
        (
            one.id
            for one in remote.products(new.business_id)
            if one.name == new.name and one.tax_rate_id == new.tax_rate_id and not one.archived
        ),
        None,
    )


def _product_for(turn: Turn, row: TaxProduct) -> TaxProduct:
    connection = db.session.get_one(Connection, turn.connection_id)
    if not connection.may_add_products:
        raise Refused(
            f"No product is chosen for {percent(row.rate)} % tax. Choose one in Business settings, Systems.",
            code="product_missing",
        )
    name = f"{OUR_NAME}, {percent(row.rate)} %"
    new = NewProduct(
        business_id=row.business_id,
        name=name,
        description="One line of an invoice handed over by SphereMail; its price is set on each sale.",
        currency_id=connection.currency_id,
        tax_rate_id=row.tax_rate_id,
    )
    subject, row_id = Subject(row.account_id, KIND, row.id), row.id
    db.session.rollback()
    made = False
    product_id = find_ours(turn.remote, new)
    if product_id is None:

        def next_step(done: Done) -> Step | None:
            return None if "create" in done else MakeProduct(new)

        product_id, made = int(carry_out(subject, next_step, turn.remote, turn.lease)["create"]["product_id"]), True
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(TaxProduct, row_id)
        row.product_id, row.product_name, row.made_by_us = product_id, name, made
        audit.record("product_added" if made else "product_found", row, product_id=product_id)
    return db.session.get_one(TaxProduct, row_id)

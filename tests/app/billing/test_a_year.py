"""A year of billing by the clock, against a reckoning of its own that shares no code with the product.

Clock changes in four zones, 29 February, a week in which no job ran, every job twice; customers who are locked for a
while, who cancel, who have paid recipients and setup fees. Each period is billed once, on its day and to the cent.
"""

import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.orm import selectinload

from app.accounts.models import Account
from app.billing import life, plans
from app.billing.life_models import Recipient, Standing
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceMail
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Cycle, Plan, Subscription
from app.db import db, unit_of_work
from app.work import sweep_once
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell

FIRST, DAYS = date(2027, 9, 1), 366  # until 31 August 2028
# One job runs early, when the day has begun everywhere; one late, when tomorrow has begun in the east.
RUNS_AT, PEOPLE_AT = (time(5, 0, tzinfo=UTC), time(22, 30, tzinfo=UTC)), time(12, 0, tzinfo=UTC)
NOTHING_RAN = {date(2028, 3, 24) + timedelta(days=number) for number in range(7)}  # over the clock change of two zones
PAYMENT_DAYS = 14
ZONES = {
    "Europe/Lisbon": ("EUR", "23"),
    "America/Santiago": ("CLP", "19"),  # no cents; the clock changes at midnight
    "Africa/Cairo": ("EGP", "14"),  # loses a midnight in April
    "Asia/Beirut": ("USD", "11.125"),  # loses a midnight in March
}
MONTHS = {Cycle.MONTHLY: 1, Cycle.HALF_YEARLY: 6, Cycle.YEARLY: 12}


@dataclass
class Story:
    """What one customer takes, and what happens in the year."""

    slug: str
    zone: str
    cycle: Cycle
    starts_on: date
    price: int
    setup: int
    own_rate: str  # percent of the plan; "" for that of the location
    billed_before: int = 0  # periods that were billed before the year
    recipients: list[tuple[int, date]] = field(default_factory=list)  # price a month, and added on which noon
    locked_on: date | None = None
    unlocked_on: date | None = None
    cancels_on: tuple[date, date] | None = None  # said on a day, and the first day without service
    customer_id: int = 0
    subscription_id: int = 0

    @property
    def rate(self) -> Fraction:
        return Fraction(self.own_rate or ZONES[self.zone][1])


def invent(count: int) -> list[Story]:
    """Customers of all kinds, the same ones each time; the days on which billing starts go around from 1 to 31."""
    chance = random.Random(2028)
    stories = []
    for number in range(count):
        day = number % 31 + 1
        month = date(2027, 10, 1) if day == 31 else date(2027, chance.choice([9, 10, 11]), 1)
        story = Story(
            slug="zenith" if number % 5 == 4 else "acme",
            zone=list(ZONES)[number % 4],
            cycle=(Cycle.MONTHLY, Cycle.HALF_YEARLY, Cycle.YEARLY)[chance.choice([0, 0, 0, 1, 2])],
            starts_on=month.replace(day=day),
            price=chance.choice([0, 1, 3900, chance.randrange(50_000)]),
            setup=chance.choice([0, 0, 2500, chance.randrange(9_999)]),
            own_rate=chance.choice(["", "9.5"]),
        )
        if number % 25 == 0:  # has been here since a leap day
            story.starts_on, story.setup = date(2024, 2, 29), 0
            since = FIRST - timedelta(days=1)
            story.billed_before = sum(
                begins(story, since - timedelta(days=back)) for back in range((since - story.starts_on).days + 1)
            )
        for _ in range(chance.choice([0, 0, 1, 3])):
            added = FIRST + timedelta(days=chance.randrange(DAYS))
            story.recipients.append((chance.choice([333, 500]), added))
        if number % 7 == 3:
            story.locked_on = date(2027, 12, 1) + timedelta(days=chance.randrange(60))
            story.unlocked_on = story.locked_on + timedelta(days=chance.choice([1, 20, 45]))
        elif number % 7 == 5:
            said = date(2028, 1, 1) + timedelta(days=chance.randrange(80))
            story.cancels_on = said, said + timedelta(days=chance.choice([0, 1, 30, 130]))
        stories.append(story)
    return stories


def begins(story: Story, day: date) -> bool:
    """Whether a period begins on that day: the day of the month on which billing started, or the last one before it."""
    apart = (day.year - story.starts_on.year) * 12 + day.month - story.starts_on.month
    last_of_month = (day + timedelta(days=1)).day == 1
    on_the_day = day.day == story.starts_on.day or (last_of_month and day.day < story.starts_on.day)
    return apart >= 0 and apart % MONTHS[story.cycle] == 0 and on_the_day


def runs() -> list[datetime]:
    """The moments at which jobs run."""
    every = (FIRST + timedelta(days=number) for number in range(DAYS))
    return [datetime.combine(day, at) for day in every if day not in NOTHING_RAN for at in RUNS_AT]


def expected(story: Story, moments: list[datetime]) -> list[tuple[Any, ...]]:
    """The invoices a customer must have: written when, first day, last day, due, net, tax, total."""
    zone = ZoneInfo(story.zone)
    found: list[tuple[Any, ...]] = []
    calendar = [FIRST + timedelta(days=number) for number in range(DAYS + 400)]
    firsts = [day for day in calendar if begins(story, day)]
    served = [moment for moment in moments if not is_locked(story, moment)]
    local_days = [moment.astimezone(zone).date() for moment in served]
    for first, following in itertools.pairwise(firsts):
        written = next((at for at, day in zip(served, local_days, strict=True) if day >= first), None)
        if written is None or not is_billed(story, first, following, written):
            continue
        nets = [story.setup] if story.setup and not found else []
        nets += [story.price] if story.price else []
        there = Counter(price for price, added in story.recipients if added <= first)
        nets += [price * count * MONTHS[story.cycle] for price, count in there.items()]
        if nets:
            tax = sum(floor(net * story.rate / 100 + Fraction(1, 2)) for net in nets)
            due = written.astimezone(zone).date() + timedelta(days=PAYMENT_DAYS)
            last = following - timedelta(days=1)
            found.append((written, first, last, due, sum(nets), tax, sum(nets) + tax))
    return found


def is_locked(story: Story, moment: datetime) -> bool:
    if story.locked_on is None or story.unlocked_on is None:
        return False
    return datetime.combine(story.locked_on, PEOPLE_AT) < moment < datetime.combine(story.unlocked_on, PEOPLE_AT)


def is_billed(story: Story, first: date, following: date, written: datetime) -> bool:
    """Not what passed wholly while locked, and not what begins after the service."""
    if story.locked_on and story.unlocked_on and written >= datetime.combine(story.unlocked_on, PEOPLE_AT):
        return following > story.unlocked_on
    if story.cancels_on is None:
        return True
    said, without = story.cancels_on
    return first < without or (said == without and written < datetime.combine(said, PEOPLE_AT))


def settle(stories: list[Story], cast: Cast) -> None:
    """Write all customers with their subscriptions, before the year begins."""
    places, offers = {}, {}
    for account in (cast.acme, cast.zenith):
        for zone, (currency, rate) in ZONES.items():
            place = make.location(account, zone, timezone=zone, currency=currency)
            with unit_of_work():
                db.session.merge(place).tax_rate = Decimal(rate)
                for own in ("", "9.5"):
                    said = PlanDetails(f"{zone} {own}", "business", "1", currency, tax_rate=own)
                    offers[account.slug, zone, own] = plans.add(account, said).id
            places[account.slug, zone] = place.id
    with unit_of_work() as session:
        accounts = {account.slug: account for account in session.scalars(sa.select(Account))}
        for account in accounts.values():
            account.mails_invoices, account.payment_days = False, PAYMENT_DAYS
        for number, story in enumerate(stories):
            email = f"customer-{number}@quill.example"
            customer = Customer(
                account_id=accounts[story.slug].id,
                location_id=places[story.slug, story.zone],
                email=email,
                email_key=email,
                full_name=f"Customer {number}",
                status=CustomerStatus.ACTIVE,
            )
            session.add(customer)
            subscription = Subscription(
                account_id=accounts[story.slug].id,
                customer=customer,
                plan=session.get_one(Plan, offers[story.slug, story.zone, story.own_rate]),
                title="Business 12",
                cycle=story.cycle,
                currency=ZONES[story.zone][0],
                price_minor=story.price,
                setup_minor=story.setup,
                recipient_minor=0,
                billing_starts_on=story.starts_on,
                next_period=story.billed_before,
                due_at=datetime.combine(FIRST, time(), UTC),
            )
            session.add(subscription)
            session.flush()
            story.customer_id, story.subscription_id = customer.id, subscription.id
            session.add_all(
                Recipient(
                    account_id=customer.account_id,
                    customer_id=customer.id,
                    name=f"Recipient {place}",
                    standing=Standing.PAID,
                    price_minor=price,
                    currency=subscription.currency,
                    added_at=datetime.combine(added, PEOPLE_AT),
                )
                for place, (price, added) in enumerate(story.recipients)
            )


def run_jobs(bell: HeardBell) -> None:
    """What is due, and each of it rung twice, as when a ring was thought lost."""
    sweep_once()
    bell.rings += bell.rings
    bell.answer()


def what_people_do(stories: list[Story], day: date) -> None:
    """Lock, unlock and cancel, as the buttons do."""
    for story in stories:
        if day not in (story.locked_on, story.unlocked_on, story.cancels_on and story.cancels_on[0]):
            continue
        with unit_of_work() as session:
            customer = session.get_one(Customer, story.customer_id, with_for_update=True)
            if day == story.locked_on:
                life.lock(customer, "does not pay")
            elif day == story.unlocked_on:
                life.unlock(customer)
            elif story.cancels_on:
                life.cancel(customer, story.cancels_on[1])


@pytest.mark.slow
def test_a_year_bills_each_period_once_on_its_day_and_to_the_cent(app: Flask, cast: Cast, bell: HeardBell) -> None:
    stories = invent(500 if db.engine.dialect.name == "sqlite" else 62)
    with time_machine.travel(datetime.combine(FIRST, time(), UTC) - timedelta(days=1), tick=False) as machine:
        settle(stories, cast)
        for moment in sorted([*runs(), *(datetime.combine(FIRST + timedelta(days=n), PEOPLE_AT) for n in range(DAYS))]):
            machine.move_to(moment)
            if moment.timetz() == PEOPLE_AT:
                what_people_do(stories, moment.date())
            else:
                run_jobs(bell)

    billed: dict[int | None, list[tuple[Any, ...]]] = {story.subscription_id: [] for story in stories}
    numbers: dict[int, list[int]] = {}
    db.session.rollback()
    query = sa.select(Invoice).options(selectinload(Invoice.lines)).order_by(Invoice.period_from)
    for one in db.session.scalars(query):
        sums = (one.net_minor, one.tax_minor, one.total_minor)
        billed[one.subscription_id].append((one.created_at, one.period_from, one.period_until, one.due_on, *sums))
        numbers.setdefault(one.account_id, []).append(int(one.number.split("-")[1]))
        assert sums[:2] == (sum(line.net_minor for line in one.lines), sum(line.tax_minor for line in one.lines))
    moments = runs()
    for story in stories:
        assert billed[story.subscription_id] == expected(story, moments), story
    for taken in numbers.values():
        assert sorted(taken) == list(range(1001, 1001 + len(taken)))
    ended = sa.select(sa.func.count()).where(Customer.status == CustomerStatus.CANCELLED)
    assert db.session.scalar(ended) == sum(story.cancels_on is not None for story in stories)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(InvoiceMail)) == 0


def test_the_year_holds_what_it_is_meant_to_try() -> None:
    stories, moments = invent(500), runs()
    invoices = {number: expected(story, moments) for number, story in enumerate(stories)}
    days = {first for several in invoices.values() for _, first, *_ in several}

    assert {story.starts_on.day for story in stories} == set(range(1, 32))
    assert date(2028, 2, 29) in days
    assert days >= NOTHING_RAN
    for zone, midnight_lost in (("Africa/Cairo", date(2028, 4, 28)), ("Asia/Beirut", date(2028, 3, 26))):
        there = {
            first for number, story in enumerate(stories) if story.zone == zone for _, first, *_ in invoices[number]
        }
        assert datetime.combine(midnight_lost, time(), ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).hour
        assert midnight_lost in there
    assert sum(map(len, invoices.values())) > 2000

"""How moments, days and amounts are written on screens: in the account's zone, the year only when it is another."""

from datetime import date, datetime
from decimal import Decimal

from flask import Flask, g

from app import clock
from app.assets import asset_url, load_manifest
from app.money import Money


def init_app(app: Flask) -> None:
    """Offer the filters to templates, and `asset(name)` for the addresses of browser files."""
    manifest = load_manifest(app.config["SETTINGS"].data_dir)
    app.jinja_env.globals["asset"] = lambda name: asset_url(manifest, name)
    app.jinja_env.filters.update(
        moment=moment,
        day=day,
        on_day=on_day,
        on_moment=on_moment,
        exact=exact,
        local=local,
        money=money,
        amount=amount,
        number=number,
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


def zone() -> str:
    """The zone of the account that the page belongs to."""
    account = g.get("account")
    return account.timezone if account else "UTC"


def day(value: date | datetime | None, zone_name: str | None = None) -> str:
    """Such as "2 November": with the weekday within a week and the year when it is not this one; "" for None."""
    if value is None:
        return ""
    zone_name = zone_name or zone()
    civil = clock.local(value, zone_name).date() if isinstance(value, datetime) else value
    today = clock.today(zone_name)
    if civil == today:
        return "today"
    text = f"{civil.day} {civil:%B}"
    if civil.year != today.year:
        return f"{text} {civil.year}"
    return f"{civil:%A} {text}" if abs((civil - today).days) < 7 else text


def moment(value: datetime | None, zone_name: str | None = None) -> str:
    """Such as "today 11:40" or "2 November, 11:40"; "" for None."""
    if value is None:
        return ""
    zone_name = zone_name or zone()
    text = day(value, zone_name)
    return f"{text}{' ' if text == 'today' else ', '}{clock.local(value, zone_name):%H:%M}"


def on_day(value: date | datetime | None) -> str:
    """A day inside a sentence: "today" or "on 2 November"; "" for None."""
    text = day(value)
    return text if text in {"", "today"} else f"on {text}"


def on_moment(value: datetime | None) -> str:
    """A moment inside a sentence: "today at 11:40" or "on 2 November at 11:40"; "" for None."""
    return f"{on_day(value)} at {clock.local(value, zone()):%H:%M}" if value else ""


def exact(value: datetime | None, zone_name: str | None = None) -> str:
    """Date, time and zone in full, for facts that matter to the minute; "" for None."""
    if value is None:
        return ""
    zone_name = zone_name or zone()
    there = clock.local(value, zone_name)
    return f"{there.day} {there:%B %Y, %H:%M} {zone_name}"


def local(value: datetime) -> datetime:
    """The moment on the wall clock of the account, for stamps that set day, month and hour apart."""
    return clock.local(value, zone())


def number(value: Decimal) -> str:
    """A quantity or a rate without idle zeros: "1", "1.5", "23"."""
    return format(value.normalize(), "f")


def money(value: Money) -> str:
    """Such as "€4,106.15"."""
    return str(value)


def amount(minor: int, currency: str) -> str:
    """Minor units as "€4,106.15"."""
    return str(Money(minor, currency))

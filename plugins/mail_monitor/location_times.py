"""Times on pages about mail: on the clock of the location that the email account belongs to.

Where that clock shows another time than the account's, the place stands beside it: nobody shall take one for the other.
"""

from datetime import datetime

import sqlalchemy as sa
from flask import g

from app import clock
from app.accounts.models import Location
from app.db import db
from app.formats import exact, moment, zone
from plugins.mail_monitor.models import EmailAccount


def zone_of(email_account_id: int | None) -> str:
    """The zone of an email account's location; the account's for what no email account brought."""
    if "mail_zones" not in g:
        query = sa.select(EmailAccount.id, Location.timezone).join(EmailAccount.location)
        g.mail_zones = dict(db.session.execute(query.where(EmailAccount.account_id == g.account.id)).all())
    return str(g.mail_zones.get(email_account_id) or zone())


def moment_there(value: datetime | None, email_account_id: int | None) -> str:
    """Such as "today 11:40", or "today 11:40 (New York)" where it is another time than here; "" for None."""
    if value is None:
        return ""
    there = zone_of(email_account_id)
    return moment(value, there) + _place(value, there)


def exact_there(value: datetime | None, email_account_id: int | None) -> str:
    """Date, time and zone in full; "" for None."""
    return exact(value, zone_of(email_account_id))


def _place(value: datetime, there: str) -> str:
    if clock.local(value, there).utcoffset() == clock.local(value, zone()).utcoffset():
        return ""
    return f" ({there.rpartition('/')[2].replace('_', ' ')})"

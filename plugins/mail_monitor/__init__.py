"""Watches mailboxes and files customers' messages into their records."""

from app.access import OPERATORS
from app.events import CustomerActivated, CustomerChanged
from app.plugin import DueRows, MenuEntry, Plugin
from plugins.mail_monitor import accounts, health, jobs, records, routes, waiting
from plugins.mail_monitor.models import ConnectionTest, EmailAccount
from plugins.mail_monitor.pages import pages

plugin = Plugin(
    name="mail_monitor",
    path="mail",
    title="Mail monitor",
    summary="Watches mailboxes and files customers' messages into their records.",
    pages=pages,
    state=health.state_of,
    menu=(MenuEntry("Email accounts", ".accounts", OPERATORS, health.count_stopped),),
    hears={CustomerActivated: jobs.customer_has_address, CustomerChanged: jobs.customer_has_address},
    due=(DueRows(EmailAccount, jobs.work_on_account), DueRows(ConnectionTest, jobs.test_connection)),
    queue="mail",
    switched_off=accounts.forget_all,
)

__all__ = ["plugin", "records", "routes", "waiting"]

"""Watches mailboxes and files customers' messages into their records."""

from app.access import OFFICE, OPERATORS
from app.events import CustomerActivated, CustomerChanged, MailSent
from app.plugin import DueRows, MenuEntry, Panel, Plugin, Tab, TimelinePart
from plugins.mail_monitor import (
    accounts,
    cli,
    figures,
    health,
    jobs,
    outgoing_panels,
    outlook,
    panels,
    records,
    routes,
    timeline,
    troubles,
    waiting,
)
from plugins.mail_monitor.models import ConnectionTest, EmailAccount
from plugins.mail_monitor.pages import pages
from plugins.mail_monitor.reading_models import SafeCopy
from plugins.mail_monitor.sending_models import Notice, Outgoing
from plugins.mail_monitor.wishes import MessageSearch

plugin = Plugin(
    name="mail_monitor",
    path="mail",
    title="Mail monitor",
    summary="Watches mailboxes and files customers' messages into their records.",
    pages=pages,
    state=health.state_of,
    menu_title="CRM",
    menu=(
        MenuEntry("Email accounts", ".accounts", OPERATORS, health.count_stopped),
        MenuEntry("Needs a choice", ".choices", OFFICE, panels.count_choices),
        MenuEntry("Unknown senders", ".strangers", OFFICE),
        MenuEntry("Quarantine", ".quarantine", OFFICE, panels.count_quarantine),
    ),
    panels=(Panel("systems", panels.systems_panel),),
    tabs=(Tab("crm", "CRM", panels.crm_tab, panels.count_messages),),
    problems=troubles.problems_of,
    coming=outlook.coming,
    charts=outlook.charts,
    timeline=(TimelinePart("messages", "Messages", timeline.moments),),
    gauges=figures.gauges,
    prune=figures.prune,
    hears={
        CustomerActivated: jobs.customer_has_address,
        CustomerChanged: jobs.customer_has_address,
        MailSent: jobs.host_mail_sent,
    },
    due=(
        DueRows(EmailAccount, jobs.work_on_account, panels.describe_account, "Scan a mailbox"),
        DueRows(ConnectionTest, jobs.test_connection),
        DueRows(SafeCopy, jobs.make_safe_copy, panels.describe_copy, "Make a message safe to read"),
        DueRows(Outgoing, jobs.send_outgoing, outgoing_panels.describe, "Send a message"),
        DueRows(MessageSearch, jobs.find_message, panels.describe_search, "Search a mailbox"),
        DueRows(Notice, jobs.tell, outgoing_panels.describe_notice, "Tell of new messages"),
    ),
    queue="mail",
    commands=cli.commands,
    switched_off=accounts.forget_all,
    before_switching_off=panels.before_switching_off,
)

__all__ = ["plugin", "records", "routes", "waiting"]

"""What the plugin draws on host pages: a customer's tab with messages and addresses, and its block in Systems."""

from typing import Any

from flask import render_template, request

from app.billing import recipients
from app.billing.models import Customer
from app.installations.models import Installation
from app.work import About
from plugins.mail_monitor import choices, conversations, customer_addresses, drafts, outgoing_panels, quarantine
from plugins.mail_monitor.accounts import all_of
from plugins.mail_monitor.asked import page_number
from plugins.mail_monitor.message_views import message_view
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.reading_models import SafeCopy
from plugins.mail_monitor.wishes import MessageSearch

PARTS = ("messages", "addresses")


def crm_tab(installation: Installation, customer: Customer) -> str:
    """A customer's messages, or the addresses by which they are found."""
    part = request.args.get("part", PARTS[0])
    count = conversations.count_of(customer)
    context = {"customer": customer, "part": part if part in PARTS else PARTS[0], "count": count}
    if context["part"] == "addresses":
        return render_template(
            "mail_monitor/_addresses.html",
            addresses=customer_addresses.of(customer),
            recipients=recipients.of(customer),
            **context,
        )
    return render_template("mail_monitor/_messages.html", **context, **_mailbox(customer))


def _mailbox(customer: Customer) -> dict[str, Any]:
    """The list of threads, and the one that the address names; without one the first, where there is room for both."""
    text = request.args.get("q", "")
    found = conversations.threads_of(customer, text, page_number())
    lines = conversations.lines_of(found.items)
    named = request.args.get("thread", type=int)
    thread_id = named or (lines[0].thread_id if lines else None)
    context = {"found": found, "lines": lines, "text": text, "is_open": named is not None, "conversation": None}
    context |= {"drafts": drafts.of_customer(customer), "deliveries": {}}
    if thread_id is None:
        return context
    thread = conversations.conversation(customer, thread_id, whole="all" in request.args)
    shown = [*(line.newest.message_id for line in lines), *(one.message_id for one in thread.filings)]
    context["deliveries"] = outgoing_panels.by_message(customer.account_id, shown)
    filing = thread.opened(request.args.get("message", type=int))
    view = message_view(customer.account_id, filing.message_id, customer.id)
    return {**context, "conversation": thread, "filing": filing, **view}


def count_messages(installation: Installation, customer: Customer) -> int:
    """For the tab: how many messages are in the record."""
    return conversations.count_of(customer)


def count_choices(installation: Installation) -> tuple[int, str]:
    """For the menu: how many messages wait for a choice."""
    count = choices.count_waiting(installation.account_id)
    return count, "ask" if count else ""


def count_quarantine(installation: Installation) -> tuple[int, str]:
    """For the menu: how many messages could not be read."""
    count = quarantine.count_waiting(installation.account_id)
    return count, "ask" if count else ""


def systems_panel(installation: Installation, _row: object) -> str:
    """The plugin's part of its block in Systems: the way to its accounts."""
    return render_template("mail_monitor/_systems.html", accounts=all_of(installation.account_id))


def before_switching_off(installation: Installation) -> str:
    """What the question says before the toggle goes off; "" when there is nothing to lose."""
    count = len(all_of(installation.account_id))
    if not count:
        return ""
    accounts = "The email account is" if count == 1 else f"{count} email accounts are"
    return (
        f"{accounts} not watched any more and the passwords are forgotten. Everything filed stays, and watching again "
        "goes on where it stopped."
    )


def describe_account(account: EmailAccount) -> About:
    """An email account in the words of the job list."""
    return About(account.email_address, "mail_monitor.account", {"email_account_id": account.id})


def describe_copy(copy: SafeCopy) -> About:
    """A message that is being made safe to show, in the words of the job list; not what it says."""
    return About(f"Message {copy.message_id}", "mail_monitor.message", {"message_id": copy.message_id})


def describe_search(search: MessageSearch) -> About:
    """A search for a message, in the words of the job list."""
    return About("A message to find", "mail_monitor.find", {"email_account_id": search.email_account_id})

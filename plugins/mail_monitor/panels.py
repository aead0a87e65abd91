"""What the plugin draws on host pages: a customer's tab with messages and addresses, and its block in Systems."""

from flask import render_template, request

from app.billing.models import Customer
from app.installations.models import Installation
from app.work import About
from plugins.mail_monitor import choices, customer_addresses, messages, quarantine
from plugins.mail_monitor.accounts import all_of
from plugins.mail_monitor.asked import page_number
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Direction

PARTS = ("messages", "addresses")


def crm_tab(installation: Installation, customer: Customer) -> str:
    """A customer's messages, or the addresses by which they are found."""
    part = request.args.get("part", PARTS[0])
    context = {"customer": customer, "part": part if part in PARTS else PARTS[0], "count": messages.count_of(customer)}
    if context["part"] == "addresses":
        return render_template("mail_monitor/_addresses.html", addresses=customer_addresses.of(customer), **context)
    text = request.args.get("q", "")
    found = messages.of_customer(customer, text, page_number())
    return render_template("mail_monitor/_messages.html", found=found, text=text, sent=Direction.OUTGOING, **context)


def count_messages(installation: Installation, customer: Customer) -> int:
    """For the tab: how many messages are in the record."""
    return messages.count_of(customer)


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

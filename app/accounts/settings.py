"""Business settings > General: what an account says about itself. Changes rows, never commits."""

import re
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from app import audit
from app.accounts.looks import checked_accent
from app.accounts.models import Account
from app.accounts.services import checked_email
from app.billing import numbering
from app.errors import InvalidInput
from app.typed import line, tidy

MOST_PAYMENT_DAYS = 90


@dataclass(frozen=True, slots=True)
class General:
    """What an Operator says about the account, as typed; all texts but name and invoice prefix may be empty."""

    name: str
    invoice_prefix: str
    contact_email: str = ""
    contact_phone: str = ""
    website: str = ""
    accent: str = ""
    mail_name: str = ""
    payment_days: int = 0
    mails_invoices: bool = False

    @classmethod
    def of(cls, account: Account) -> "General":
        """What the account says now."""
        return cls(**{name: getattr(account, name) for name in cls.__slots__})

    def checked(self) -> "General":
        """The same, tidy; raises `InvalidInput` for the field that cannot be taken."""
        name = line(self.name, 120, "name")
        if not name:
            raise InvalidInput("An account needs a name.", "name")
        return General(
            name=name,
            invoice_prefix=_prefix(self.invoice_prefix),
            contact_email=_email(self.contact_email),
            contact_phone=line(self.contact_phone, 40, "contact_phone"),
            website=_website(self.website),
            accent=checked_accent(self.accent),
            mail_name=line(self.mail_name, 120, "mail_name"),
            payment_days=_payment_days(self.payment_days),
            mails_invoices=self.mails_invoices,
        )


def edit(account: Account, general: General) -> bool:
    """Take over what changed and answer whether anything did. Issued invoices keep their numbers."""
    wanted = general.checked()
    numbering.hold(account)
    changed = sorted(name for name, value in asdict(wanted).items() if getattr(account, name) != value)
    if not changed:
        return False
    if "invoice_prefix" in changed:
        numbering.begin_with(account, wanted.invoice_prefix)
    for name in changed:
        setattr(account, name, getattr(wanted, name))
    audit.record("account_changed", account, fields=changed)
    return True


def _prefix(text: str) -> str:
    prefix = tidy(text).removesuffix("-").upper()
    if not re.fullmatch(r"[A-Z0-9]{1,8}", prefix):
        raise InvalidInput("One to eight letters from A to Z, or digits.", "invoice_prefix")
    return prefix


def _payment_days(days: int) -> int:
    if not 0 <= days <= MOST_PAYMENT_DAYS:
        raise InvalidInput(f"A whole number of days from 0 to {MOST_PAYMENT_DAYS}.", "payment_days")
    return days


def _email(text: str) -> str:
    text = line(text, 254, "contact_email")
    try:
        return checked_email(text) if text else ""
    except InvalidInput as error:
        raise InvalidInput(error.sentence, "contact_email") from error


def _website(text: str) -> str:
    """An address that pages may link to: http or https, a host, nobody's password in it."""
    text = line(text, 192, "website")
    if not text:
        return ""
    address = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput(f"“{text}” is not the address of a website.", "website") from error
    plain = parts.scheme in {"http", "https"} and "@" not in parts.netloc and not re.search(r"[\s<>\"\\]", address)
    if not plain or not re.fullmatch(r"[^.]+(\.[^.]+)+", host):
        raise InvalidInput(f"“{text}” is not the address of a website.", "website")
    return address

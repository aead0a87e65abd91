"""What every gateway can do, in our words: plain data in, plain data out, and the five errors of `app.errors`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from app.effects import Intent
from app.money import Money


@dataclass(frozen=True, slots=True)
class Checked:
    """What a key that works says of itself; `account` is empty where the key may not ask."""

    account: str
    is_live: bool
    is_restricted: bool


@dataclass(frozen=True, slots=True)
class CardFacts:
    """A card as the gateway describes it; `ref` is how it is called there."""

    ref: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int


@dataclass(frozen=True, slots=True)
class HostedPage:
    """A page of the gateway on which the customer types a card."""

    ref: str
    url: str


class Verdict(StrEnum):
    """What became of a charge. `confirm`: no money yet, the customer's bank wants to hear from its customer."""

    PAID = "paid"
    FAILED = "failed"
    CONFIRM = "confirm"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a charge. `url`: where the customer confirms, once that was begun."""

    verdict: Verdict
    ref: str
    code: str = ""
    reason: str = ""
    url: str = ""

    def stored(self) -> dict[str, Any]:
        """As an effect keeps it; the address is good for minutes and is not kept."""
        return {"verdict": self.verdict.value, "ref": self.ref, "code": self.code, "reason": self.reason}

    @classmethod
    def of(cls, stored: Any) -> "Outcome":
        return cls(Verdict(stored["verdict"]), stored["ref"], stored["code"], stored["reason"], stored.get("url", ""))


@dataclass(frozen=True, slots=True)
class Asked:
    """A charge that is asked for. `key` is the same for every repetition of one attempt, and only for these."""

    key: str
    amount: Money
    payer: str
    card: str
    description: str
    reference: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A refund as the gateway has it."""

    ref: str
    amount_minor: int
    failed: bool = False
    reason: str = ""
    key: str = ""


class Provider(Protocol):
    """One account's access to one gateway. Every method may raise the errors named `Outside`.

    Methods that take an `Intent` write there, and their intent has been committed.
    """

    def check(self) -> Checked:
        """Prove that the key may do all that is needed, without making anything there."""

    def add_payer(self, intent: Intent, key: str, name: str, email: str) -> str:
        """Make the customer known there; answers how they are called."""

    def find_payer(self, key: str, email: str) -> str | None:
        """The customer that an earlier call with this key made."""

    def card_page(self, key: str, payer: str, return_url: str) -> HostedPage:
        """A page on which a card is typed and kept; the browser comes back to `return_url` either way."""

    def card_from(self, page_ref: str) -> CardFacts | None:
        """The card that was left on such a page; None while there is none."""

    def forget_card(self, intent: Intent, card: str) -> None:
        """Drop a card; one that is gone already is fine."""

    def charge(self, intent: Intent, asked: Asked) -> Outcome:
        """Take the money now, without the customer being there."""

    def find_charge(self, asked: Asked, since: datetime) -> Outcome | None:
        """What an earlier `charge` with the same key left there; None when nothing is."""

    def read_charge(self, ref: str) -> Outcome:
        """How a charge stands now."""

    def confirm(self, intent: Intent, ref: str, card: str, return_url: str) -> Outcome:
        """Begin the confirmation with the customer in front of the screen."""

    def cancel(self, intent: Intent, ref: str) -> Outcome:
        """Make sure that a charge that is not paid never will be."""

    def refund(self, intent: Intent, key: str, ref: str, amount: Money) -> Returned:
        """Give back part or all of a charge."""

    def refunds_of(self, ref: str) -> list[Returned]:
        """Everything given back of a charge so far, whoever asked for it."""

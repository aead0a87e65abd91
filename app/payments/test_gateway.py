"""A gateway for the demo: remembers cards and payments in a file of its own in `DATA_DIR`, and moves no money."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app import clock
from app.db import in_transaction
from app.effects import Intent
from app.errors import Refused
from app.money import Money
from app.payments.provider import Asked, CardFacts, Checked, HostedPage, Outcome, Returned, Verdict

_TABLES = """
CREATE TABLE IF NOT EXISTS payer (ref TEXT PRIMARY KEY, key TEXT UNIQUE, name TEXT, email TEXT);
CREATE TABLE IF NOT EXISTS page (ref TEXT PRIMARY KEY, payer TEXT, return_url TEXT, card TEXT);
CREATE TABLE IF NOT EXISTS card (ref TEXT PRIMARY KEY, payer TEXT, kind TEXT, exp_year INTEGER, is_gone INTEGER);
CREATE TABLE IF NOT EXISTS payment (ref TEXT PRIMARY KEY, key TEXT UNIQUE, card TEXT, minor INTEGER, currency TEXT,
    description TEXT, verdict TEXT, code TEXT, reason TEXT, return_url TEXT, made_at TEXT);
CREATE TABLE IF NOT EXISTS refund (ref TEXT PRIMARY KEY, key TEXT UNIQUE, payment TEXT, minor INTEGER);
"""


@dataclass(frozen=True, slots=True)
class TestCard:
    """A made-up card, and what its bank answers."""

    kind: str
    brand: str
    last4: str
    says: str
    verdict: Verdict = Verdict.PAID
    code: str = ""
    reason: str = ""


CARDS = {
    card.kind: card
    for card in (
        TestCard("good", "Visa", "4242", "every payment goes through"),
        TestCard("mastercard", "Mastercard", "4444", "every payment goes through"),
        TestCard("confirm", "Visa", "3184", "the bank wants each payment confirmed", Verdict.CONFIRM, "authentication"),
        TestCard(
            "empty",
            "Mastercard",
            "9995",
            "is declined: not enough money",
            Verdict.FAILED,
            "insufficient_funds",
            "The bank declined the card: there is not enough money on it.",
        ),
        TestCard(
            "declined",
            "Visa",
            "0002",
            "is declined without a reason",
            Verdict.FAILED,
            "generic_decline",
            "The bank declined the card: the bank gives no reason.",
        ),
    )
}


class TestGateway:
    """Behaves as `Provider` says. `base` is this host's own address of the account's portal, where its pages are."""

    __test__ = False  # its name tells people what it is, not pytest

    def __init__(self, folder: Path, base: str) -> None:
        self._file, self._base = folder / "test-gateway.db", base

    @contextmanager
    def _store(self) -> Iterator[sqlite3.Connection]:
        if in_transaction():
            raise RuntimeError("a request to the outside while a database transaction is open")
        with closing(sqlite3.connect(self._file, timeout=20, isolation_level=None)) as store:
            store.row_factory = sqlite3.Row
            store.executescript(_TABLES)
            store.execute("BEGIN IMMEDIATE")
            yield store
            store.execute("COMMIT")

    def check(self) -> Checked:
        return Checked("test", is_live=False, is_restricted=True)

    def add_payer(self, intent: Intent, key: str, name: str, email: str) -> str:
        with self._store() as store:
            store.execute("INSERT OR IGNORE INTO payer VALUES (?, ?, ?, ?)", (_new("payer"), key, name, email))
            return str(store.execute("SELECT ref FROM payer WHERE key = ?", (key,)).fetchone()["ref"])

    def find_payer(self, key: str, email: str) -> str | None:
        with self._store() as store:
            found = store.execute("SELECT ref FROM payer WHERE key = ?", (key,)).fetchone()
        return str(found["ref"]) if found else None

    def card_page(self, key: str, payer: str, return_url: str) -> HostedPage:
        ref = _new("page")
        with self._store() as store:
            store.execute("INSERT INTO page VALUES (?, ?, ?, NULL)", (ref, payer, return_url))
        return HostedPage(ref, f"{self._base}/cards/{ref}")

    def card_from(self, page_ref: str) -> CardFacts | None:
        with self._store() as store:
            found = store.execute(
                "SELECT card.* FROM page JOIN card ON card.ref = page.card WHERE page.ref = ?", (page_ref,)
            ).fetchone()
        if found is None:
            return None
        card = CARDS[found["kind"]]
        return CardFacts(found["ref"], card.brand, card.last4, 12, found["exp_year"])

    def forget_card(self, intent: Intent, card: str) -> None:
        with self._store() as store:
            store.execute("UPDATE card SET is_gone = 1 WHERE ref = ?", (card,))

    def charge(self, intent: Intent, asked: Asked) -> Outcome:
        with self._store() as store:
            found = store.execute("SELECT * FROM payment WHERE key = ?", (asked.key,)).fetchone()
            if found is None:
                card = store.execute("SELECT * FROM card WHERE ref = ? AND NOT is_gone", (asked.card,)).fetchone()
                if card is None:
                    raise Refused("The test gateway knows no such card.", code="no_card")
                bank = CARDS[card["kind"]]
                answer = (bank.verdict, bank.code, bank.reason, "", clock.now().isoformat())
                amount = (asked.amount.minor, asked.amount.currency)
                store.execute(
                    "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (_new("payment"), asked.key, asked.card, *amount, asked.description, *answer),
                )
                found = store.execute("SELECT * FROM payment WHERE key = ?", (asked.key,)).fetchone()
        return self._outcome(found)

    def find_charge(self, asked: Asked, since: datetime) -> Outcome | None:
        found = self._payment("key", asked.key)
        return self._outcome(found) if found else None

    def read_charge(self, ref: str) -> Outcome:
        return self._outcome(self._known(ref))

    def confirm(self, intent: Intent, ref: str, card: str, return_url: str) -> Outcome:
        with self._store() as store:
            store.execute("UPDATE payment SET return_url = ? WHERE ref = ? AND verdict = 'confirm'", (return_url, ref))
        return self.read_charge(ref)

    def cancel(self, intent: Intent, ref: str) -> Outcome:
        with self._store() as store:
            store.execute("UPDATE payment SET verdict = 'cancelled' WHERE ref = ? AND verdict <> 'paid'", (ref,))
        return self.read_charge(ref)

    def refund(self, intent: Intent, key: str, ref: str, amount: Money) -> Returned:
        payment = self._known(ref)
        with self._store() as store:
            known = store.execute("SELECT * FROM refund WHERE key = ?", (key,)).fetchone()
            if known is None:
                back = store.execute("SELECT COALESCE(SUM(minor), 0) FROM refund WHERE payment = ?", (ref,))
                if payment["verdict"] != "paid" or back.fetchone()[0] + amount.minor > payment["minor"]:
                    raise Refused("The test gateway has not so much of this payment.", code="too_much")
                store.execute("INSERT INTO refund VALUES (?, ?, ?, ?)", (_new("refund"), key, ref, amount.minor))
                known = store.execute("SELECT * FROM refund WHERE key = ?", (key,)).fetchone()
        return Returned(known["ref"], known["minor"], key=key)

    def refunds_of(self, ref: str) -> list[Returned]:
        with self._store() as store:
            rows = store.execute("SELECT * FROM refund WHERE payment = ? ORDER BY rowid", (ref,)).fetchall()
        return [Returned(row["ref"], row["minor"], key=row["key"]) for row in rows]

    # What its own pages ask for.

    def return_url_of(self, page_ref: str) -> str | None:
        """Where the browser goes back to from a card page; None when there is no such page."""
        with self._store() as store:
            found = store.execute("SELECT return_url FROM page WHERE ref = ?", (page_ref,)).fetchone()
        return str(found["return_url"]) if found else None

    def leave_card(self, page_ref: str, kind: str) -> None:
        """Keep the card that was chosen on a card page; a page keeps one."""
        with self._store() as store:
            page = store.execute("SELECT * FROM page WHERE ref = ? AND card IS NULL", (page_ref,)).fetchone()
            if page is None:
                return
            ref, year = _new("card"), clock.now().year + 3
            store.execute("INSERT INTO card VALUES (?, ?, ?, ?, 0)", (ref, page["payer"], CARDS[kind].kind, year))
            store.execute("UPDATE page SET card = ? WHERE ref = ?", (ref, page_ref))

    def waiting_payment(self, ref: str) -> sqlite3.Row | None:
        """The payment that a confirmation page is about; its `verdict` says whether it still waits."""
        return self._payment("ref", ref)

    def decide(self, ref: str, *, approved: bool) -> None:
        """What the customer told the bank on its confirmation page."""
        verdict = ("paid", "", "") if approved else ("failed", "not_confirmed", "The confirmation was refused.")
        with self._store() as store:
            store.execute(
                "UPDATE payment SET verdict = ?, code = ?, reason = ? WHERE ref = ? AND verdict = 'confirm'",
                (*verdict, ref),
            )

    def payments(self) -> list[dict[str, Any]]:
        """Everything it was asked to take, oldest first."""
        with self._store() as store:
            return [dict(row) for row in store.execute("SELECT * FROM payment ORDER BY rowid")]

    def _payment(self, column: str, value: str) -> sqlite3.Row | None:
        with self._store() as store:
            found = store.execute(f"SELECT * FROM payment WHERE {column} = ?", (value,))  # noqa: S608  # ours alone
            row: sqlite3.Row | None = found.fetchone()
        return row

    def _known(self, ref: str) -> sqlite3.Row:
        payment = self._payment("ref", ref)
        if payment is None:
            raise Refused("The test gateway knows no such payment.", code="no_payment")
        return payment

    def _outcome(self, row: sqlite3.Row) -> Outcome:
        begun = row["verdict"] == Verdict.CONFIRM and row["return_url"]
        url = f"{self._base}/confirm/{row['ref']}" if begun else ""
        return Outcome(Verdict(row["verdict"]), row["ref"], row["code"], row["reason"], url)


def _new(kind: str) -> str:
    return f"test_{kind}_{secrets.token_urlsafe(16)}"

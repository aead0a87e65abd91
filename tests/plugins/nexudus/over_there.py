"""A Nexudus in process with one member, and the client that speaks to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from app.http import Door
from plugins.nexudus.client import Nexudus
from plugins.nexudus.frozen import BillTo, FrozenInvoice
from plugins.nexudus.sandbox import create_sandbox
from plugins.nexudus.sandbox.adapter import SandboxAdapter
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from plugins.nexudus.sandbox.space import Space
from plugins.nexudus.sent import NewMember, NewProduct
from plugins.nexudus.signing_in import Tokens, exchange_password, refresh
from tests.plugins.nexudus.invoices import Line, frozen
from tests.plugins.nexudus.scripted import BASE, INTENT, Permit

CLIENT_ID = "spheremail-tests"


class LiveTokens:
    """Tokens of a sign-in, renewed as the product does, but kept in memory."""

    def __init__(self, door: Door, tokens: Tokens) -> None:
        self._door, self.tokens = door, tokens
        self.renewals = 0

    def access(self) -> str:
        return self.tokens.access

    def renew(self, refused: str) -> str:
        self.tokens = refresh(self._door, CLIENT_ID, self.tokens.refresh)
        self.renewals += 1
        return self.tokens.access


class OverThere:
    """The sandbox, a client signed in to it, and the ids a test needs."""

    def __init__(self, profile: str = "current") -> None:
        self.app = create_sandbox(None, profile=profile, limits="off")
        adapter = SandboxAdapter(self.app)
        self.space = adapter.space
        self.door = Door(BASE, adapter)
        self.tokens = LiveTokens(self.door, exchange_password(self.door, EMAIL, PASSWORD, CLIENT_ID))
        self.permit = Permit()
        self.remote = Nexudus(self.door, self.tokens, self.permit)
        self.business = self.remote.businesses()[0]
        self.tax = next(one for one in self.remote.tax_rates(self.business.id) if one.rate == 23)
        self.country_id = self.remote.country_id("PT")
        self.member_id = self.make_member("ada@quill.example", "acme:12")
        self.product_id = self._make_product()
        self.space.calls.reset()

    def make_member(self, email: str, reference: str) -> int:
        return self.remote.create_member(INTENT, self.new_member(email, reference))

    def new_member(self, email: str, reference: str) -> NewMember:
        return NewMember(
            full_name="Ada Example",
            email=email,
            country_id=self.country_id,
            zone_id=self.remote.zone_id("Europe/Lisbon"),
            business_id=self.business.id,
            reference=reference,
        )

    def _make_product(self) -> int:
        assert self.business.currency_id is not None
        product = NewProduct(
            business_id=self.business.id,
            name=f"Invoice line, {self.tax.name}",
            description="Invoice line",
            currency_id=self.business.currency_id,
            tax_rate_id=self.tax.id,
        )
        return self.remote.create_product(INTENT, product)

    def frozen(self, lines: tuple[Line, ...], **fields: Any) -> FrozenInvoice:
        """An invoice for the member, in the currency and at the tax of the location."""
        given = {
            "member_id": self.member_id,
            "business_id": self.business.id,
            "product_id": self.product_id,
            "tax_name": self.tax.name,
            "currency": self.business.currency,
            "currency_id": self.business.currency_id,
            "bill_to": BillTo("Ada Example Ltd", "Rua Um 1", "Porto", "4000-001", self.country_id),
            **fields,
        }
        return frozen(lines, **given)

    def faults(self, **switches: Any) -> None:
        """From now on things go wrong over there; see `plugins/nexudus/sandbox/faults.py`."""
        self.space.faults.turn(switches)

    @contextmanager
    def meanwhile(self) -> Iterator[Space]:
        """Change the records over there, as somebody in the admin panel would."""
        with self.app.app_context(), self.space.store.change():
            yield self.space

    def before_each_call(self, happens: Callable[[], None]) -> None:
        """Do something right before each of our calls."""

        def before(kind: str) -> None:
            happens()

        self.permit.before = before  # type: ignore[method-assign]

    def trouble_at(self, number: int, switch: str) -> None:
        """Turn `switch` to 1 right before our call number `number`."""
        calls = count(1)
        self.before_each_call(lambda: self.faults(**{switch: 1}) if next(calls) == number else None)

    def quiet(self) -> None:
        """No more trouble, and every call is counted anew."""
        self.space.faults.reset()
        self.space.calls.reset()
        self.before_each_call(lambda: None)

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Everything of a kind that belongs to the member."""
        return self.space.where(kind, CoworkerId=self.member_id)

    def calls(self) -> int:
        return sum(self.space.calls.counts().values())

    def writes(self) -> int:
        return sum(count for call, count in self.space.calls.counts().items() if not call.startswith("GET"))

"""The steps of a charge at a gateway: taking the money, confirming it with the customer's bank, calling it off."""

from app.effects import Intent, Result
from app.payments.provider import Asked, Provider, Verdict


class Pay:
    """Take the money."""

    key = "pay"

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def call(self, remote: Provider, intent: Intent) -> Result:
        return remote.charge(intent, self.asked).stored()

    def look_up(self, remote: Provider, intent: Intent) -> Result | None:
        found = remote.find_charge(self.asked, intent.first_begun_at)
        return found.stored() if found else None


class Confirm:
    """Bring the customer to their bank. `url` is where that is; it is good for minutes and stored nowhere."""

    def __init__(self, number: int, ref: str, card: str, return_url: str) -> None:
        self.key, self.ref, self.card, self.return_url = f"confirm:{number}", ref, card, return_url

    def call(self, remote: Provider, intent: Intent) -> Result:
        return remote.confirm(intent, self.ref, self.card, self.return_url).stored()

    def look_up(self, remote: Provider, intent: Intent) -> Result | None:
        found = remote.read_charge(self.ref)
        return None if found.verdict == Verdict.CONFIRM and not found.url else found.stored()


class Cancel:
    """Make sure that a charge nobody confirmed never takes money."""

    key = "cancel"

    def __init__(self, ref: str) -> None:
        self.ref = ref

    def call(self, remote: Provider, intent: Intent) -> Result:
        return remote.cancel(intent, self.ref).stored()

    def look_up(self, remote: Provider, intent: Intent) -> Result | None:
        found = remote.read_charge(self.ref)
        return found.stored() if found.verdict in {Verdict.CANCELLED, Verdict.PAID} else None

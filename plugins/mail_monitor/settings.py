"""The settings of an email account as people and files say them, checked for everything that can be known offline."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from app.accounts.services import checked_email
from app.errors import InvalidInput
from app.typed import problem_of, tidy
from plugins.mail_monitor import presets
from plugins.mail_monitor.address_lists import address_key, plain_key
from plugins.mail_monitor.egress import IMAP_PORTS, POP_PORTS, SMTP_PORTS, ascii_name
from plugins.mail_monitor.models import DeletePolicy, Encryption

Problem = tuple[str, str]
"""The name of a form field ("incoming-port") and a sentence."""

LONGEST_PASSWORD = 500
_FROM_THE_FIRST_BYTE = {993, 465}
_BEGIN_PLAIN = {143: 993, 587: 465}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server. An empty password keeps the one that is stored; an outgoing user left out is the incoming one."""

    host: str = ""
    port: int = 0
    encryption: str = Encryption.TLS
    user: str = ""
    password: str = field(default="", repr=False)

    def problems(self, side: str, ports: tuple[int, ...], *, privately: bool) -> Iterator[Problem]:
        """What cannot be right. `privately`: this installation allows servers of its own network."""
        if not ascii_name(self.host):
            yield f"{side}-host", "This is not the name of a server." if self.host else "Type the server."
        for name, text in (("user", self.user), ("password", self.password)):
            problem = problem_of(text, 254 if name == "user" else LONGEST_PASSWORD)
            if problem:
                yield f"{side}-{name}", problem
        if side == "incoming" and self.port in POP_PORTS:
            yield "incoming-port", "Only IMAP can be watched; ports 110 and 995 are POP3. IMAP is 993 or 143."
        elif not 0 < self.port < 65536 or (self.port not in ports and not privately):
            yield f"{side}-port", f"{self.port or 'That'} is no port of this kind of server: {_listed(ports)}."
        elif (sentence := self._pair_problem(privately=privately)) is not None:
            yield f"{side}-encryption", sentence

    def _pair_problem(self, *, privately: bool) -> str | None:
        if self.encryption not in set(Encryption):
            return "Encryption is tls, starttls or none."
        if self.port in _FROM_THE_FIRST_BYTE and self.encryption != Encryption.TLS:
            return f"Port {self.port} is encrypted from the first byte: choose SSL/TLS."
        if self.port in _BEGIN_PLAIN and self.encryption == Encryption.TLS:
            other = _BEGIN_PLAIN[self.port]
            return f"Port {self.port} begins unencrypted: choose STARTTLS, or port {other} for SSL/TLS."
        if self.encryption == Encryption.NONE and not privately:
            return "Without encryption passwords could be read on the way. Choose SSL/TLS or STARTTLS."
        return None


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Everything a person decides about an email account."""

    display_name: str
    location_id: int
    email_address: str
    active: bool = False
    notification_email_address: str = ""
    send_notifications: bool = False
    provider: str = ""
    incoming: ServerSettings = ServerSettings()
    delete: str = DeletePolicy.NEVER
    outgoing: ServerSettings = ServerSettings()
    reply_to: str = ""
    interval_minutes: int = 15
    signature: str = ""
    largest_mb: int = 25
    daily_mb: int = 1024
    daily_messages: int = 20_000
    relays: tuple[str, ...] = ()
    results_server: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What `without_passwords` gave."""
        servers = {side: ServerSettings(**values[side]) for side in ("incoming", "outgoing")}
        return cls(**{**values, **servers, "relays": tuple(values["relays"])})

    def without_passwords(self) -> dict[str, Any]:
        """As JSON takes it, to be stored beside sealed passwords."""
        incoming, outgoing = (replace(server, password="") for server in (self.incoming, self.outgoing))
        return {**asdict(replace(self, incoming=incoming, outgoing=outgoing)), "relays": list(self.relays)}

    def tidied(self) -> Self:
        """The same without blanks around texts, and with the servers of the chosen provider: nobody types those."""
        preset = presets.preset(self.provider)
        incoming, outgoing = _tidied(self.incoming), _tidied(self.outgoing)
        if preset is not None:
            incoming = replace(
                incoming,
                host=preset.incoming_host,
                port=preset.incoming_port,
                encryption=preset.incoming_encryption,
                user=incoming.user or tidy(self.email_address),
            )
            outgoing = replace(
                outgoing,
                host=preset.outgoing_host,
                port=preset.outgoing_port,
                encryption=preset.outgoing_encryption,
            )
        return replace(
            self,
            display_name=tidy(self.display_name),
            email_address=tidy(self.email_address),
            notification_email_address=tidy(self.notification_email_address),
            reply_to=tidy(self.reply_to),
            results_server=tidy(self.results_server).lower(),
            relays=tuple(relay for one in self.relays if (relay := tidy(one))),
            incoming=incoming,
            outgoing=outgoing,
        )

    @property
    def connection(self) -> dict[str, Any]:
        """What a test of the connection is about: while it is the same, a test that passed holds."""
        return {
            key: value
            for key, value in self.without_passwords().items()
            if key in {"email_address", "incoming", "outgoing"}
        }

    @property
    def can_send(self) -> bool:
        return bool(self.outgoing.host)

    def problems(self, *, privately: bool) -> list[Problem]:
        """What cannot be taken, in the order of the form."""
        return [
            *self._identity_problems(),
            *self.incoming.problems("incoming", IMAP_PORTS, privately=privately),
            *self._incoming_sign_in_problems(),
            *self._outgoing_problems(privately=privately),
            *self._further_problems(),
        ]

    def _identity_problems(self) -> Iterator[Problem]:
        if not self.display_name:
            yield "display_name", "Customers see this name as the sender of your answers."
        elif problem := problem_of(self.display_name, 120):
            yield "display_name", problem
        yield from _address_problem("email_address", self.email_address, required=True)
        yield from _address_problem("notification_email_address", self.notification_email_address)
        if self.notification_email_address and _same_mailbox(self.notification_email_address, self.email_address):
            yield "notification_email_address", "This address is watched itself; the mail would go round in circles."

    def _incoming_sign_in_problems(self) -> Iterator[Problem]:
        if not self.incoming.user:
            yield "incoming-user", "Type the user; often it is the whole email address."

    def _outgoing_problems(self, *, privately: bool) -> Iterator[Problem]:
        if self.can_send:
            yield from self.outgoing.problems("outgoing", SMTP_PORTS, privately=privately)
        elif self.active:
            yield "outgoing-host", "Without an outgoing server it can be saved as inactive only."
        yield from _address_problem("outgoing-reply_to", self.reply_to)

    def _further_problems(self) -> Iterator[Problem]:
        for name, value, least, most in (
            ("interval_minutes", self.interval_minutes, 1, 60),
            ("largest_mb", self.largest_mb, 1, 35),
            ("daily_mb", self.daily_mb, 10, 100_000),
            ("daily_messages", self.daily_messages, 100, 1_000_000),
        ):
            if not least <= value <= most:
                yield name, f"A number from {least:,} to {most:,}."
        if len(self.signature) > 4000:
            yield "signature", "A signature has at most 4,000 characters."
        if len(self.relays) > 20:
            yield "relays", "At most 20 addresses."
        for relay in self.relays:
            yield from _address_problem("relays", relay)
        if self.results_server and not ascii_name(self.results_server):
            yield "results_server", "This is not the name of a server."


def _tidied(server: ServerSettings) -> ServerSettings:
    return replace(server, host=tidy(server.host), user=tidy(server.user))


def _address_problem(name: str, address: str, *, required: bool = False) -> Iterator[Problem]:
    if not address and not required:
        return
    try:
        checked_email(address)
    except InvalidInput as error:
        yield name, error.sentence if address else "Type the email address."


def _same_mailbox(one: str, other: str) -> bool:
    return plain_key(address_key(one)) == plain_key(address_key(other))


def _listed(ports: tuple[int, ...]) -> str:
    words = [str(port) for port in ports]
    return f"{', '.join(words[:-1])} or {words[-1]}"

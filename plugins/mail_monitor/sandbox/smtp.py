"""The SMTP side: takes every mail and sends none on; what is for a mailbox of the sandbox arrives there."""

import asyncio
import ssl
from collections.abc import Callable, Collection
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from plugins.mail_monitor.sandbox.mailboxes import Mailboxes
from plugins.mail_monitor.sandbox.store import Store

LARGEST = 40 * 1024 * 1024
REFUSED, LATER = "refused", "later"
"""What the part before the @ may be: nobody by that name, or somebody whose server is busy."""


class Sink:
    """Answers for every mail that is handed in; its methods are named as aiosmtpd looks for them."""

    def __init__(self, store: Store, mailboxes: Mailboxes) -> None:
        self._store = store
        self._mailboxes = mailboxes

    async def handle_RCPT(  # noqa: N802  # aiosmtpd finds its hooks by these names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        name = address.partition("@")[0].lower()
        if name == REFUSED:
            return "550 5.1.1 There is nobody by this name"
        if name == LATER:
            return "451 4.3.0 Come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802  # as above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        raw = envelope.original_content or b""
        signed_in = getattr(session.auth_data, "login", b"") or b""
        recipients = [str(one) for one in envelope.rcpt_tos]
        number = self._store.add_sent(envelope.mail_from or "", recipients, signed_in.decode(), raw)
        own = {name for name in self._mailboxes.names if name in {one.lower() for one in recipients}}
        for name in sorted(own):
            await self._mailboxes.deliver(name, b"Return-Path: <%s>\r\n" % (envelope.mail_from or "").encode() + raw)
        return f"250 2.0.0 Kept as {number}"


def make_server(sink: Sink, tls: ssl.SSLContext, names: Collection[str], password: str) -> Callable[[], SMTP]:
    """What asyncio calls for every connection. Signing in takes STARTTLS; the product itself needs neither."""

    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
        good = data.login.decode().lower() in names and data.password == password.encode()
        return AuthResult(success=good, handled=False, auth_data=data if good else None)

    options: dict[str, Any] = {
        "hostname": "localhost",
        "ident": "mail sandbox",
        "tls_context": tls,
        "authenticator": check,
        "data_size_limit": LARGEST,
        "enable_SMTPUTF8": True,
    }
    return lambda: SMTP(sink, loop=asyncio.get_running_loop(), **options)

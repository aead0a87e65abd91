"""The guard on connections to mail servers that people typed in: where they may lead, and proof of who answers.

A field for a host is a way to make this machine connect anywhere. So a name is resolved once, every address behind
it must be one of the public internet, the connection goes to that address, and the certificate must be the name's.
"""

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import idna

from app.errors import NotSent, Refused

IMAP_PORTS = (143, 993)
SMTP_PORTS = (25, 465, 587, 2525)
POP_PORTS = (110, 995)
CONNECT_S = 10.0
# Global by the registry, and still a way back into a private network or to nobody: translated and tunnelled IPv4.
_TUNNELS = [
    ipaddress.IPv6Network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10")
]

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Place:
    """A checked address of a mail server, and the name its certificate must carry."""

    name: str
    port: int
    addresses: tuple[str, ...]
    is_private: bool  # allowed by the installation's settings


@dataclass(frozen=True, slots=True)
class Guard:
    """What the installation allows: private hosts or networks by name, and a further certificate authority."""

    private_hosts: tuple[str, ...] = ()
    ca_file: Path | None = None

    def find(self, host: str, port: int, ports: Iterable[int], within_s: float = CONNECT_S) -> Place:
        """Resolve `host` and check every address; raises `Refused` (code `not_found`) for what may not be reached.

        One sentence for unknown and for private names: who types them learns nothing about our network.
        """
        name = ascii_name(host)
        sentence = (
            f"“{host}” is not found on the internet. Check the spelling. A server in a private network has to be "
            "allowed by whoever runs this installation."
        )
        addresses = _resolve(name, port, within_s, sentence) if name else ()
        privately = self._is_named(name) or all(self._is_listed(one) for one in addresses)
        if not addresses or not (privately or all(is_public(one) or self._is_listed(one) for one in addresses)):
            raise Refused(sentence, code="not_found", addresses=[str(one) for one in addresses])
        if port not in ports and not privately:
            raise Refused(f"Port {port} is no port of such a mail server.", code="port")
        return Place(name, port, tuple(str(one) for one in addresses), privately)

    def connect(self, place: Place, ends: float) -> socket.socket:
        """A connection to the first address that answers, before `ends` (monotonic clock); raises `NotSent`."""
        causes = []
        for address in place.addresses:
            left = min(CONNECT_S, ends - time.monotonic())
            if left <= 0:
                break
            try:
                return socket.create_connection((address, place.port), timeout=left)
            except OSError as error:
                causes.append(repr(error))
        raise no_answer(place, causes=causes)

    def encrypt(self, connection: socket.socket, place: Place, ends: float) -> ssl.SSLSocket:
        """TLS on `connection`, with a certificate that is valid for the name; raises `Refused` or `NotSent`."""
        connection.settimeout(max(0.1, min(CONNECT_S, ends - time.monotonic())))
        try:
            return self.tls().wrap_socket(connection, server_hostname=place.name)
        except ssl.SSLCertVerificationError as error:
            raise Refused(_about_certificate(place, error), code="certificate", cause=str(error)) from error
        except (OSError, ValueError) as error:
            raise no_answer(place, causes=[repr(error)]) from error

    def tls(self) -> ssl.SSLContext:
        """What is accepted: TLS 1.2 or newer, the system's authorities and our further one, the right name."""
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        return context

    def _is_named(self, name: str) -> bool:
        return name in {ascii_name(entry) for entry in self.private_hosts}

    def _is_listed(self, address: Address) -> bool:
        for entry in self.private_hosts:
            with contextlib.suppress(ValueError):  # a name, compared as such
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
        return False


def no_answer(place: Place, **details: object) -> NotSent:
    """The one error for refused, filtered, silent, and for anything that answers but is no mail server."""
    return NotSent(
        f"No mail server answers at {place.name}, port {place.port}. Check server, port and encryption.",
        code="no_answer",
        **details,
    )


def ascii_name(host: str) -> str:
    """A host's name as it is looked up and certified; "" for what can be none."""
    name = host.strip().rstrip(".").lower()
    if name.isascii():
        return name if name and not any(mark in name for mark in " \t\r\n\0/@") else ""
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def is_public(address: Address) -> bool:
    """Whether an address is one host of the public internet."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _resolve(name: str, port: int, within_s: float, sentence: str) -> tuple[Address, ...]:
    """Every address of a name, () when there is none; raises `NotSent` when that cannot be said now.

    The system's resolver knows no deadline, so a thread waits for it.
    """
    found: list[Address] = []
    problems: list[OSError] = []

    def look_up() -> None:
        try:
            for *_, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
                found.append(ipaddress.ip_address(str(address[0]).partition("%")[0]))
        except UnicodeError:
            pass  # no name of the net
        except OSError as error:
            problems.append(error)

    waiter = threading.Thread(target=look_up, daemon=True)
    waiter.start()
    waiter.join(within_s)
    if waiter.is_alive() or any(problem.errno == socket.EAI_AGAIN for problem in problems):
        raise NotSent(sentence, code="not_found", causes=[repr(problem) for problem in problems])
    return tuple(dict.fromkeys(found))


def _about_certificate(place: Place, error: ssl.SSLCertVerificationError) -> str:
    reason = error.verify_message or "it is not valid"
    return (
        f"The certificate of {place.name} does not prove that this is {place.name}: {reason}. Nothing was sent there. "
        "Check the server's name, or ask whoever runs it."
    )

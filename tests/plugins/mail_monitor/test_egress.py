"""The guard: typed hosts lead to the public internet or nowhere, and the certificate is the name's."""

import socket
import time
from ipaddress import ip_address
from typing import Any

import pytest

from app.errors import NotSent, Refused
from plugins.mail_monitor.egress import IMAP_PORTS, SMTP_PORTS, Guard, ascii_name, is_public

NOWHERE = "not found on the internet"


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name has these addresses."""

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fd00::1"),
        *("fd00:ec2::254", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1"),
    ],
)
def test_no_address_but_a_public_one_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "localhost", "::1", "", "a b", "x@y", "a/b"]
)
def test_this_machine_is_not_found_however_it_is_spelled(host: str) -> None:
    with pytest.raises(Refused, match=NOWHERE):
        Guard().find(host, 993, IMAP_PORTS)


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(Refused, match=NOWHERE):
        Guard().find("mail.example", 993, IMAP_PORTS)


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "8.8.8.8")
    place = Guard().find("mail.example", 993, IMAP_PORTS)
    resolving(monkeypatch, "127.0.0.1")
    tried: list[Any] = []

    def refuse(address: Any, timeout: float) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(NotSent):
        Guard().connect(place, time.monotonic() + 1)
    assert tried == [("8.8.8.8", 993)]


def test_only_ports_of_mail_servers_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "8.8.8.8")
    for port, ports in ((22, IMAP_PORTS), (993, SMTP_PORTS), (6379, SMTP_PORTS)):
        with pytest.raises(Refused) as caught:
            Guard().find("mail.example", port, ports)
        assert caught.value.code == "port"


def test_a_private_host_is_reached_when_the_installation_allows_it_by_name_or_network() -> None:
    assert Guard(("localhost",)).find("localhost", 11993, IMAP_PORTS).is_private
    assert Guard(("127.0.0.0/8",)).find("127.0.0.5", 11993, IMAP_PORTS).is_private
    with pytest.raises(Refused):
        Guard(("10.0.0.0/8",)).find("localhost", 993, IMAP_PORTS)


def test_unknown_and_private_names_are_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = []
    for addresses in (("10.0.0.1",), ()):
        resolving(monkeypatch, *addresses)
        with pytest.raises(Refused) as caught:
            Guard().find("mail.example", 993, IMAP_PORTS)
        sentences.append(caught.value.sentence)
    assert sentences[0] == sentences[1]


def test_refused_and_silent_are_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "8.8.8.8")
    place = Guard().find("mail.example", 993, IMAP_PORTS)
    sentences = []
    for error in (ConnectionRefusedError(), TimeoutError(), OSError("unreachable")):

        def fail(*_: Any, error: OSError = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(socket, "create_connection", fail)
        with pytest.raises(NotSent) as caught:
            Guard().connect(place, time.monotonic() + 1)
        sentences.append(caught.value.sentence)
    assert len(set(sentences)) == 1


def test_a_resolver_that_cannot_say_it_now_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def temporary(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", temporary)
    with pytest.raises(NotSent, match=NOWHERE):
        Guard().find("mail.example", 993, IMAP_PORTS)


@pytest.mark.parametrize(
    ("host", "name"), [("Mail.Example.", "mail.example"), ("bücher.example", "xn--bcher-kva.example"), ("a\0b", "")]
)
def test_a_name_is_looked_up_as_it_is_certified(host: str, name: str) -> None:
    assert ascii_name(host) == name

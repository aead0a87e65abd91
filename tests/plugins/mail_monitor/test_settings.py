"""Settings and presets: what cannot be right is refused with a sentence before anything is asked of anybody."""

from dataclasses import replace
from typing import Any

import pytest

from plugins.mail_monitor import presets
from plugins.mail_monitor.settings import AccountSettings, ServerSettings

INCOMING = ServerSettings("imap.acme.example", 993, "tls", "desk", "secret")
OUTGOING = ServerSettings("smtp.acme.example", 465, "tls")
GOOD = AccountSettings("Desk", 1, "desk@acme.example", active=True, incoming=INCOMING, outgoing=OUTGOING)


def problems(settings: AccountSettings, *, privately: bool = False) -> dict[str, str]:
    return dict(settings.tidied().problems(privately=privately))


def test_what_is_complete_is_taken() -> None:
    assert problems(GOOD) == {}


@pytest.mark.parametrize("port", [110, 995])
def test_pop_is_refused_with_what_to_use_instead(port: int) -> None:
    found = problems(replace(GOOD, incoming=replace(INCOMING, port=port)))
    assert "Only IMAP can be watched" in found["incoming-port"]


@pytest.mark.parametrize(
    ("side", "port", "encryption"),
    [
        ("incoming", 993, "starttls"),
        ("incoming", 993, "none"),
        ("incoming", 143, "tls"),
        ("outgoing", 465, "starttls"),
        ("outgoing", 587, "tls"),
        ("incoming", 143, "ssl"),
    ],
)
def test_impossible_pairs_are_refused(side: str, port: int, encryption: str) -> None:
    server = replace(getattr(GOOD, side), port=port, encryption=encryption)
    found = problems(replace(GOOD, **{side: server}), privately=True)
    assert list(found) == [f"{side}-encryption"]


@pytest.mark.parametrize(("port", "encryption"), [(993, "tls"), (143, "starttls")])
def test_possible_pairs_are_taken(port: int, encryption: str) -> None:
    assert problems(replace(GOOD, incoming=replace(INCOMING, port=port, encryption=encryption))) == {}


def test_no_encryption_is_only_for_the_own_network() -> None:
    plain = replace(GOOD, incoming=replace(INCOMING, port=143, encryption="none"))
    assert "passwords could be read" in problems(plain)["incoming-encryption"]
    assert problems(plain, privately=True) == {}


def test_other_ports_are_only_for_the_own_network() -> None:
    unusual = replace(GOOD, incoming=replace(INCOMING, port=11993))
    assert "incoming-port" in problems(unusual)
    assert problems(unusual, privately=True) == {}


def test_without_an_outgoing_server_it_is_inactive_only() -> None:
    alone = replace(GOOD, outgoing=ServerSettings())
    assert "inactive only" in problems(alone)["outgoing-host"]
    assert problems(replace(alone, active=False)) == {}


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("display_name", " ", "display_name"),
        ("display_name", "Desk\r\nBcc: x@y.example", "display_name"),
        ("email_address", "", "email_address"),
        ("email_address", "desk", "email_address"),
        ("notification_email_address", "desk+x@acme.example", "notification_email_address"),
        ("notification_email_address", "nobody", "notification_email_address"),
        ("reply_to", "x@y@z", "outgoing-reply_to"),
        ("interval_minutes", 0, "interval_minutes"),
        ("interval_minutes", 61, "interval_minutes"),
        ("largest_mb", 36, "largest_mb"),
        ("relays", ("nobody",), "relays"),
        ("results_server", "a b", "results_server"),
        ("signature", "x" * 5000, "signature"),
    ],
)
def test_each_field_says_what_is_wrong_with_it(name: str, value: Any, field: str) -> None:
    assert field in problems(replace(GOOD, **{name: value}))


@pytest.mark.parametrize("name", ["user", "password"])
def test_what_would_become_a_command_of_its_own_is_refused(name: str) -> None:
    typed: dict[str, Any] = {name: 'x"\r\nA1 DELETE INBOX'}
    server = replace(INCOMING, **typed)
    assert f"incoming-{name}" in problems(replace(GOOD, incoming=server))


def test_a_known_provider_brings_its_servers_and_nobody_types_others() -> None:
    typed = replace(INCOMING, host="imap.evil.example", port=143, encryption="none")
    tidied = replace(GOOD, provider="gmail", incoming=typed).tidied()
    assert (tidied.incoming.host, tidied.incoming.port, tidied.incoming.encryption) == ("imap.gmail.com", 993, "tls")
    assert tidied.outgoing.host == "smtp.gmail.com"


PROVIDERS = {
    "aol": ("aol.com",),
    "gmail": ("gmail.com",),
    "icloud": ("mail.me.com",),
    "outlook": ("office365.com", "outlook.com"),
    "office365": ("office365.com",),
    "yahoo": ("mail.yahoo.com",),
}


@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda preset: str(preset.key))
def test_every_preset_leads_to_its_own_provider_with_a_pair_that_works(preset: presets.Preset) -> None:
    for host in (preset.incoming_host, preset.outgoing_host):
        assert any(host.endswith(f".{domain}") for domain in PROVIDERS[preset.key]), host
    assert problems(replace(GOOD, provider=preset.key)) == {}
    assert preset.help_url.startswith("https://")


def test_the_two_mistakes_of_older_lists_are_not_copied() -> None:
    hosts = {host for preset in presets.PRESETS for host in (preset.incoming_host, preset.outgoing_host)}
    assert "smtp-mail-outlook.com" not in hosts
    assert all(preset.outgoing_encryption == "starttls" for preset in presets.PRESETS if preset.outgoing_port == 587)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("a@gmail.com", "gmail"),
        ("a@GoogleMail.com", "gmail"),
        ("a@hotmail.co.uk", "outlook"),
        ("a@acme.onmicrosoft.com", "office365"),
        ("a@verizon.net", "aol"),
        ("a@acme.example", None),
        ("a@notgmail.com", None),
        ("", None),
    ],
)
def test_an_address_says_its_provider(address: str, key: str | None) -> None:
    found = presets.preset_for(address)
    assert (found.key if found else None) == key


def test_settings_survive_being_stored_without_their_passwords() -> None:
    settings = replace(GOOD, relays=("forms@acme.example",))
    stored = settings.without_passwords()
    assert "secret" not in repr(stored)
    assert AccountSettings.from_dict(stored).connection == settings.connection

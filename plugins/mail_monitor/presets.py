"""The servers of well-known providers, and what each wants before it lets anybody in. Fixed: nobody types these hosts.

A wrong host here would send real passwords to a stranger, so tests check every one of them against its provider.
The table that this one began with had mistakes; `corrections` says where this one differs, and the page marks it.
"""

from dataclasses import dataclass

from plugins.mail_monitor.address_lists import address_key


@dataclass(frozen=True, slots=True)
class Preset:
    """One provider: its domains, servers, and the password that works today."""

    key: str
    title: str
    domains: tuple[str, ...]  # "" in it: addresses of own domains may be here, so it is only chosen by hand
    incoming_host: str
    incoming_port: int
    incoming_encryption: str
    outgoing_host: str
    outgoing_port: int
    outgoing_encryption: str
    asks_for: str
    which_works: str  # which password works
    switch_on: str  # what must be switched on there
    help_url: str
    results_servers: tuple[str, ...]  # who writes the Authentication-Results there; "": it names nobody
    stores_sent: bool  # keeps a copy of what is sent through its outgoing server
    corrections: tuple[str, ...] = ()
    can_sign_in: bool = True  # with a password at all
    trash_first: bool = False  # deleting in a folder only takes a label away there; what is in Trash goes

    @property
    def letter(self) -> str:
        return self.title[0]


_MICROSOFT_HELP = "https://support.microsoft.com/office/d088b986-291d-42b8-9564-9c414e2aa040"

PRESETS = (
    Preset(
        key="aol",
        title="AOL and Verizon",
        domains=("aol.com", "aim.com", "verizon.net"),
        incoming_host="imap.aol.com",
        incoming_port=993,
        incoming_encryption="tls",
        outgoing_host="smtp.aol.com",
        outgoing_port=465,
        outgoing_encryption="tls",
        asks_for="App password",
        which_works="The normal password does not work. Create an app password under Account security.",
        switch_on="Nothing else: IMAP is on.",
        help_url="https://help.aol.com/articles/Create-and-manage-app-password",
        results_servers=("yahoo.com", "aol.com"),
        stores_sent=False,
        corrections=("Verizon addresses use AOL's servers; those of Verizon are gone.",),
    ),
    Preset(
        key="gmail",
        title="Gmail and Google Workspace",
        domains=("gmail.com", "googlemail.com"),
        incoming_host="imap.gmail.com",
        incoming_port=993,
        incoming_encryption="tls",
        outgoing_host="smtp.gmail.com",
        outgoing_port=465,
        outgoing_encryption="tls",
        asks_for="App password",
        which_works="The normal password does not work. Create an app password: 16 letters.",
        switch_on="2-step verification must be on, and in Google Workspace the administrator must allow app passwords.",
        help_url="https://support.google.com/accounts/answer/185833",
        results_servers=("mx.google.com",),
        stores_sent=True,
        trash_first=True,
        corrections=("The normal password fails; this is why so many accounts do not work at the first try.",),
    ),
    Preset(
        key="icloud",
        title="iCloud",
        domains=("icloud.com", "me.com", "mac.com"),
        incoming_host="imap.mail.me.com",
        incoming_port=993,
        incoming_encryption="tls",
        outgoing_host="smtp.mail.me.com",
        outgoing_port=587,
        outgoing_encryption="starttls",
        asks_for="App-specific password",
        which_works="The normal password does not work. Create an app-specific password at account.apple.com.",
        switch_on="Two-factor authentication must be on. If the address is refused as user, try the part before the @.",
        help_url="https://support.apple.com/102654",
        results_servers=("icloud.com", "apple.com"),
        stores_sent=False,
    ),
    Preset(
        key="outlook",
        title="MSN, Hotmail, Live and Outlook.com",
        domains=("outlook.com", "hotmail.com", "live.com", "msn.com", "hotmail.co.uk", "live.co.uk"),
        incoming_host="outlook.office365.com",
        incoming_port=993,
        incoming_encryption="tls",
        outgoing_host="smtp-mail.outlook.com",
        outgoing_port=587,
        outgoing_encryption="starttls",
        asks_for="Password",
        which_works="Microsoft takes no passwords here since September 2024, only its own sign-in page.",
        switch_on="IMAP is off at first: switch it on under Settings, Mail, Forwarding and IMAP.",
        help_url=_MICROSOFT_HELP,
        results_servers=("protection.outlook.com", "outlook.com", ""),
        stores_sent=True,
        corrections=(
            "The incoming server is outlook.office365.com; imap-mail.outlook.com is an old name of it.",
            "The outgoing server is smtp-mail.outlook.com; smtp-mail-outlook.com belongs to somebody else.",
        ),
        can_sign_in=False,
    ),
    Preset(
        key="office365",
        title="Office 365",
        domains=("onmicrosoft.com",),
        incoming_host="outlook.office365.com",
        incoming_port=993,
        incoming_encryption="tls",
        outgoing_host="smtp.office365.com",
        outgoing_port=587,
        outgoing_encryption="starttls",
        asks_for="Password",
        which_works="Microsoft takes no passwords for IMAP since the end of 2022, only its own sign-in page.",
        switch_on="The administrator must allow IMAP and authenticated SMTP for the mailbox.",
        help_url="https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/deprecation-of-basic-authentication-exchange-online",
        results_servers=("protection.outlook.com", "outlook.com", ""),
        stores_sent=True,
        corrections=("Port 587 is STARTTLS; SSL/TLS on it hangs.",),
        can_sign_in=False,
    ),
    Preset(
        key="yahoo",
        title="Yahoo",
        domains=("yahoo.com", "ymail.com", "rocketmail.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr", "yahoo.es"),
        incoming_host="imap.mail.yahoo.com",
        incoming_port=993,
        incoming_encryption="tls",
        outgoing_host="smtp.mail.yahoo.com",
        outgoing_port=465,
        outgoing_encryption="tls",
        asks_for="App password",
        which_works="The normal password does not work. Create an app password under Account security.",
        switch_on="Nothing else: IMAP is on.",
        help_url="https://help.yahoo.com/kb/SLN15241.html",
        results_servers=("yahoo.com",),
        stores_sent=False,
        corrections=("Port 465 is SSL/TLS, port 587 is STARTTLS; they cannot be mixed.",),
    ),
)
OTHER = ""
# Where to read what other providers want; the first for whoever is not named.
HELP_OF_OTHERS = (
    ("Any provider", "https://support.mozilla.org/kb/manual-account-configuration"),
    ("Fastmail", "https://www.fastmail.help/hc/en-us/articles/1500000279921"),
    ("GMX", "https://support.gmx.com/pop-imap/imap/index.html"),
    ("IONOS", "https://www.ionos.com/help/email/"),
    ("Zoho", "https://www.zoho.com/mail/help/imap-access.html"),
)
_BY_KEY = {preset.key: preset for preset in PRESETS}
_BY_DOMAIN = {domain: preset for preset in PRESETS for domain in preset.domains}


def preset(key: str) -> Preset | None:
    """The preset of a key, None for any other provider."""
    return _BY_KEY.get(key)


def preset_for(address: str) -> Preset | None:
    """The provider that an address belongs to by its domain, None when that says nothing."""
    domain = address_key(address).rpartition("@")[2]
    while domain:
        if domain in _BY_DOMAIN:
            return _BY_DOMAIN[domain]
        domain = domain.partition(".")[2]
    return None


def results_servers(key: str, chosen: str) -> tuple[str, ...]:
    """Whose Authentication-Results are believed: the server a person chose, else those the provider is known for."""
    known = preset(key)
    return (chosen,) if chosen else known.results_servers if known else ()


def goes_to_trash(key: str, host: str) -> bool:
    """Whether a message is deleted there by moving it to Trash, however the server was entered."""
    return any(one.trash_first and (one.key == key or one.incoming_host == host.lower()) for one in PRESETS)


def keeps_sent(key: str, host: str) -> bool:
    """Whether the provider keeps a copy of what is sent through its outgoing server, however that was entered."""
    return any(one.stores_sent and (one.key == key or one.outgoing_host == host.lower()) for one in PRESETS)

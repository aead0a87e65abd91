"""What the provider of an email account found out about the sender of a mail, if it is really the provider who says so.

Anybody can write an Authentication-Results header into a mail; only those of the account's own provider count
(https://www.rfc-editor.org/rfc/rfc8601).
"""

import re
from collections.abc import Iterator, Sequence

from plugins.mail_monitor.records import Trust

UNNAMED = "="  # a provider that does not say its name: the results begin at once
_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"\b(dmarc|dkim|spf)\s*=\s*([a-z]+)", re.IGNORECASE)
_SIGNED_FOR = re.compile(r"\bheader\.(?:d|i)\s*=\s*@?([^\s;]+)", re.IGNORECASE)


def verdict(results: Sequence[str], servers: Sequence[str], sender_domain: str) -> Trust:
    """What is to be believed of `results` (newest first): verified, failed, or not verified when nothing says either.

    Some providers write one header per method, each under a name of its own. So a name that comes again came with the
    mail, and of each method only the first header that speaks of it counts.
    `servers` are the names, or ends of names, under which the provider writes; "" is a provider that names itself not.
    """
    said: dict[str, str] = {}
    signed_for: set[str] = set()
    for parts in _of_provider(results, servers):
        before = set(said)
        for part in parts:
            found = _RESULT.search(part)
            if not found or found[1].lower() in before:
                continue
            method, outcome = found[1].lower(), found[2].lower()
            said.setdefault(method, outcome)
            if method == "dkim" and outcome == "pass":
                signed_for.update(domain.lower().rpartition("@")[2] for domain in _SIGNED_FOR.findall(part))
    if said.get("dmarc") in {"fail", "reject", "quarantine"}:
        return Trust.FAILED
    if said.get("dmarc") in {"pass", "bestguesspass"} or any(_is_of(sender_domain, domain) for domain in signed_for):
        return Trust.VERIFIED
    return Trust.NOT_VERIFIED


def _of_provider(results: Sequence[str], servers: Sequence[str]) -> Iterator[list[str]]:
    """The parts of those headers that the provider wrote: up to the first one that came with the mail."""
    names: set[str] = set()
    for text in results:
        name, _, rest = _COMMENT.sub("", text).partition(";")
        server = name.split()[0].lower() if name.split() else ""
        server = UNNAMED if "=" in server else server
        if server in names or not _is_provider(server, servers):
            return
        names.add(server)
        yield [name, *rest.split(";")]


def _is_provider(name: str, servers: Sequence[str]) -> bool:
    if name == UNNAMED:
        return "" in servers
    return any(server and (name == server or name.endswith(f".{server}")) for server in servers)


def _is_of(sender_domain: str, signer: str) -> bool:
    return bool(signer) and (sender_domain == signer or sender_domain.endswith(f".{signer}"))

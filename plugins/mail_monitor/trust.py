"""What the provider of an email account found out about the sender of a mail, if it is really the provider who says so.

Anybody can write an Authentication-Results header into a mail; only those of the account's own provider count
(https://www.rfc-editor.org/rfc/rfc8601).
"""

import re
from collections.abc import Sequence

from plugins.mail_monitor.records import Trust

_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"\b(dmarc|dkim|spf)\s*=\s*([a-z]+)", re.IGNORECASE)
_SIGNED_FOR = re.compile(r"\bheader\.(?:d|i)\s*=\s*@?([^\s;]+)", re.IGNORECASE)


def verdict(results: Sequence[str], servers: Sequence[str], sender_domain: str) -> Trust:
    """What is to be believed of `results` (newest first): verified, failed, or not verified when nothing says either.

    `servers` are the names, or ends of names, under which the provider writes; "" is a provider that names itself not.
    """
    said: dict[str, str] = {}
    signed_for: set[str] = set()
    for text in results:
        name, _, rest = _COMMENT.sub("", text).partition(";")
        if not _is_provider(name.split()[0].lower() if name.split() else "", servers):
            break  # from here on it is what came with the mail
        for part in (name, *rest.split(";")):
            found = _RESULT.search(part)
            if not found:
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


def _is_provider(name: str, servers: Sequence[str]) -> bool:
    if "=" in name:
        return "" in servers
    return any(server and (name == server or name.endswith(f".{server}")) for server in servers)


def _is_of(sender_domain: str, signer: str) -> bool:
    return bool(signer) and (sender_domain == signer or sender_domain.endswith(f".{signer}"))

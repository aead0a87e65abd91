"""Whose record a message belongs in: a pure decision over what the header says and which addresses are known.

Only From says who wrote, read strictly; a name beside it counts for nothing, and neither does Reply-To, unless the
mail comes from a web form or relay of our own. What could be two people is nobody's until a person decides.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plugins.mail_monitor.address_lists import DOTLESS, Named, plain_key
from plugins.mail_monitor.letters import Envelope
from plugins.mail_monitor.records import How, Role, Trust
from plugins.mail_monitor.trust import verdict
from plugins.mail_monitor.waiting import Doubt

# Exchange puts this in place of a message that it cannot hand out over IMAP.
_PLACEHOLDER = ("microsoft exchange server", "retrieval using the imap4 protocol failed")

MOST_OTHERS = 100  # recipients of one message who may still become customers


@dataclass(frozen=True, slots=True)
class Match:
    """A customer who has an address, and which of theirs it is ("the main address")."""

    customer_id: int
    how: How
    which: str


@dataclass(frozen=True, slots=True)
class Known:
    """What an account knows of addresses, all by key: whose they are, which are its own, which speak for others."""

    exact: Mapping[str, Sequence[Match]]
    loose: Mapping[str, Sequence[Match]] = field(default_factory=dict)  # by the key without tag
    remembered: Mapping[str, int | None] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    relays: frozenset[str] = frozenset()
    results_servers: tuple[str, ...] = ()

    def find(self, key: str) -> list[Match]:
        """Who has this address: one match per customer, [] for a stranger."""
        if not key or key in self.own:
            return []
        if key in self.remembered:
            customer_id = self.remembered[key]
            return [] if customer_id is None else [Match(customer_id, How.REMEMBERED, "remembered for this customer")]
        but_for = "dots or a tag" if key.rpartition("@")[2] in DOTLESS else "a tag"
        found = self.exact.get(key) or [
            Match(match.customer_id, How.TAG, f"{match.which}, but for {but_for}")
            for match in self.loose.get(plain_key(key), ())
        ]
        return list({match.customer_id: match for match in reversed(found)}.values())[::-1]


@dataclass(frozen=True, slots=True)
class Place:
    """One record that a message goes into, and why."""

    customer_id: int
    role: Role
    how: How
    reason: str


@dataclass(frozen=True, slots=True)
class Filed:
    """It belongs to these customers."""

    places: tuple[Place, ...]
    trust: Trust = Trust.NOT_VERIFIED


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A person decides. `address_key` is what the decision can be remembered for, "" when nothing is sure."""

    doubt: Doubt
    sentence: str
    candidates: tuple[Place, ...]
    address_key: str = ""
    trust: Trust = Trust.NOT_VERIFIED


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody here: only the header is kept for a while. `keys` are the addresses that would change that."""

    name: str
    address: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reported(Unknown):
    """A stranger's report about delivery. One of our mails may come back: its body says whether this is about it."""


@dataclass(frozen=True, slots=True)
class NotGiven:
    """The server put a note in place of the message."""


Decision = Filed | Doubtful | Unknown | NotGiven


def keys_of(envelope: Envelope) -> set[str]:
    """Every address that a decision about this header may ask for."""
    named = (*envelope.reply_to, *envelope.to, *envelope.cc, *envelope.bcc)
    sender = [Named("", address).key for address in (envelope.sender.address, *envelope.sender.mentioned)]
    return {key for key in (*sender, *(one.key for one in named)) if key}


def others_of(envelope: Envelope, known: Known) -> tuple[tuple[Role, str], ...]:
    """The recipients who are nobody's customer and none of our own addresses, each once, with their role."""
    found: dict[str, Role] = {}
    for role, named in ((Role.TO, envelope.to), (Role.CC, envelope.cc), (Role.BCC, envelope.bcc)):
        for one in named[:MOST_OTHERS]:
            if one.key and one.key not in known.own and not known.find(one.key):
                found.setdefault(one.key, role)
    return tuple((role, key) for key, role in found.items())[:MOST_OTHERS]


def decide(envelope: Envelope, known: Known, *, outgoing: bool) -> Decision:
    """Where a message goes. `outgoing` says that it lies in the folder of sent mail: then its recipients count."""
    if _is_placeholder(envelope):
        return NotGiven()
    return _decide_outgoing(envelope, known) if outgoing else _decide_incoming(envelope, known)


def _decide_incoming(envelope: Envelope, known: Known) -> Decision:
    sender = envelope.sender
    key = Named("", sender.address).key
    if sender.doubt:
        return _unclear(envelope, known)
    if key in known.relays and len(envelope.reply_to) == 1:
        return _from_relay(envelope, known, sender.address)
    if key in known.own:
        # A copy to ourselves, or somebody who pretends: the customers it is addressed to are told apart by their role.
        places = _recipients(envelope, known)
        return _unless_failed(envelope, known, key, places) if places else Unknown(sender.name, sender.address, ())
    found = known.find(key)
    if not found:
        return Unknown(sender.name, sender.address, (key,) if key else ())
    return _from_customers(envelope, known, key, [_place(match, Role.SENDER, "From") for match in found])


def _from_customers(envelope: Envelope, known: Known, key: str, places: list[Place]) -> Decision:
    decision = _unless_failed(envelope, known, key, places)
    if len(places) > 1 and isinstance(decision, Filed):
        return _shared(places, key, decision.trust)
    if isinstance(decision, Filed):
        return Filed(_each_once([*places, *_recipients(envelope, known)]), decision.trust)
    return decision


def _unless_failed(envelope: Envelope, known: Known, key: str, places: Sequence[Place]) -> Filed | Doubtful:
    """Filed, unless the provider says that it did not come from the domain of `key`.

    A forged mail is never remembered for its address: what is decided about it says nothing about the next one.
    """
    domain = key.rpartition("@")[2]
    trust = verdict(envelope.results, known.results_servers, domain)
    if trust == Trust.FAILED:
        sentence = f"This failed the sender check of {domain} (DMARC). It may be forged."
        return Doubtful(Doubt.FAILED_CHECK, sentence, tuple(places), trust=trust)
    return Filed(tuple(places), trust)


def _unclear(envelope: Envelope, known: Known) -> Decision:
    sender = envelope.sender
    keys = [Named("", address).key for address in sender.mentioned]
    found = [match for key in keys for match in known.find(key)]
    if not found:
        return Unknown(sender.name, sender.address, tuple(keys))
    places = _each_once([_place(match, Role.SENDER, "From", "mentions") for match in found])
    return Doubtful(Doubt.UNCLEAR_SENDER, f"{sender.doubt} It may be forged.", places)


def _from_relay(envelope: Envelope, known: Known, relay: str) -> Decision:
    author = envelope.reply_to[0]
    found = known.find(author.key)
    if not found:
        return Unknown(author.name, author.address, (author.key,))
    label = f"Sent by {relay} for somebody else; Reply-To"
    places = [Place(match.customer_id, Role.SENDER, How.REPLY_TO, f"{label} is {match.which}"[:300]) for match in found]
    decision = _unless_failed(envelope, known, Named("", relay).key, places)
    if isinstance(decision, Doubtful):
        return decision
    # That the form is ours says nothing about who filled it in.
    return _shared(places, author.key, Trust.NOT_VERIFIED) if len(places) > 1 else Filed(tuple(places))


def _decide_outgoing(envelope: Envelope, known: Known) -> Decision:
    places = _recipients(envelope, known)
    if places:
        return Filed(tuple(places))
    others = [one for one in (*envelope.to, *envelope.cc, *envelope.bcc) if one.key not in known.own]
    for one in others:
        found = known.find(one.key)
        if len(found) > 1:
            return _shared([_place(match, Role.TO, "To") for match in found], one.key, Trust.NOT_VERIFIED)
    first = others[0] if others else Named("", "")
    return Unknown(first.name, first.address, tuple(one.key for one in others[:20]))


def _recipients(envelope: Envelope, known: Known) -> list[Place]:
    """Customers among the recipients; an address that two of them share names neither."""
    places = []
    for role, field_name, named in (
        (Role.TO, "To", envelope.to),
        (Role.CC, "Cc", envelope.cc),
        (Role.BCC, "Bcc", envelope.bcc),
    ):
        for one in named:
            found = known.find(one.key)
            if len(found) == 1:
                places.append(_place(found[0], role, field_name))
    return list(_each_once(places))


def _shared(places: Sequence[Place], key: str, trust: Trust) -> Doubtful:
    count = {2: "Two", 3: "Three", 4: "Four"}.get(len(places), str(len(places)))
    return Doubtful(Doubt.SHARED_ADDRESS, f"{count} customers have this address.", tuple(places), key, trust)


def _place(match: Match, role: Role, field_name: str, verb: str = "is") -> Place:
    return Place(match.customer_id, role, match.how, f"{field_name} {verb} {match.which}"[:300])


def _each_once(places: Iterable[Place]) -> tuple[Place, ...]:
    """The first place of each customer: a sender who also is in Cc is the sender."""
    kept: dict[int, Place] = {}
    for place in places:
        kept.setdefault(place.customer_id, place)
    return tuple(kept.values())


def _is_placeholder(envelope: Envelope) -> bool:
    name, subject = _PLACEHOLDER
    sender = envelope.sender
    # It has no address; a stranger who writes the same words has one.
    return not sender.address and sender.name.lower() == name and envelope.subject.lower().startswith(subject)

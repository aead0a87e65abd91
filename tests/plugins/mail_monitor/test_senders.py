"""Whose record a message belongs in, decided from the header and what is known of the addresses."""

import pytest

from plugins.mail_monitor.address_lists import address_key, plain_key
from plugins.mail_monitor.envelopes import read_envelope
from plugins.mail_monitor.headers import Headers
from plugins.mail_monitor.identity import fingerprint, ids_in, normal_id
from plugins.mail_monitor.records import How, Role, Trust
from plugins.mail_monitor.senders import Decision, Doubtful, Filed, Known, Match, NotGiven, Unknown, decide
from plugins.mail_monitor.trust import verdict
from plugins.mail_monitor.waiting import Doubt

TAMSIN, BEN = 1, 2
MAIN = [Match(TAMSIN, How.MAIN_ADDRESS, "the main address")]
BENS = [Match(BEN, How.MAIN_ADDRESS, "the main address")]
KNOWN = Known(
    exact={"tamsin@quill.example": MAIN, "ben@birch.example": BENS},
    loose={"tamsin@quill.example": MAIN},
    own=frozenset({"desk@acme.example"}),
)


def of(header: str, known: Known = KNOWN, *, outgoing: bool = False) -> Decision:
    return decide(read_envelope(Headers.read(header.encode())), known, outgoing=outgoing)


def places(decision: Decision) -> list[tuple[int, Role, str]]:
    assert isinstance(decision, Filed)
    return [(place.customer_id, place.role, place.reason) for place in decision.places]


def test_the_sender_and_every_other_customer_get_it_with_their_role() -> None:
    decision = of(
        "From: tamsin@quill.example\nTo: desk@acme.example\nCc: Ben <ben@birch.example>, tamsin@quill.example"
    )
    assert places(decision) == [
        (TAMSIN, Role.SENDER, "From is the main address"),
        (BEN, Role.CC, "Cc is the main address"),
    ]


def test_every_customer_among_many_recipients_is_found() -> None:
    others = ", ".join(f"r{number}@else.example" for number in range(400))
    decision = of(f"From: desk@acme.example\nTo: {others},\n ben@birch.example", outgoing=True)
    assert places(decision) == [(BEN, Role.TO, "To is the main address")]


def test_a_stranger_cannot_put_a_mail_into_a_record_by_naming_a_customer_in_cc() -> None:
    decision = of("From: spam@shop.example\nTo: desk@acme.example\nCc: tamsin@quill.example")
    assert decision == Unknown("", "spam@shop.example", ("spam@shop.example",))


def test_reply_to_of_strangers_counts_for_nothing() -> None:
    assert isinstance(of("From: x@shop.example\nReply-To: tamsin@quill.example"), Unknown)


def test_a_tag_is_left_out_and_said() -> None:
    decision = of("From: tamsin+post@quill.example")
    assert places(decision) == [(TAMSIN, Role.SENDER, "From is the main address, but for a tag")]


def test_a_copy_to_ourselves_is_filed_with_whom_it_went_to() -> None:
    decision = of("From: desk@acme.example\nTo: tamsin@quill.example")
    assert places(decision) == [(TAMSIN, Role.TO, "To is the main address")]


def test_our_own_mail_to_nobody_leaves_nothing() -> None:
    assert of("From: desk@acme.example\nTo: desk@acme.example") == Unknown("", "desk@acme.example", ())


def test_sent_mail_to_strangers_remembers_all_of_them() -> None:
    decision = of("From: desk@acme.example\nTo: a@b.example, C <c@d.example>", outgoing=True)
    assert decision == Unknown("", "a@b.example", ("a@b.example", "c@d.example"))


def test_a_shared_address_waits_for_a_person() -> None:
    shared = Known(exact={"home@oxbow.example": [*MAIN, *BENS]})
    decision = of("From: home@oxbow.example", shared)
    assert isinstance(decision, Doubtful)
    assert [place.customer_id for place in decision.candidates] == [TAMSIN, BEN]
    assert decision.address_key == "home@oxbow.example"


@pytest.mark.parametrize(("customer_id", "expected"), [(BEN, [BEN]), (None, None)])
def test_what_was_remembered_decides(customer_id: int | None, expected: list[int] | None) -> None:
    shared = Known(exact={"home@oxbow.example": [*MAIN, *BENS]}, remembered={"home@oxbow.example": customer_id})
    decision = of("From: home@oxbow.example", shared)
    assert ([place.customer_id for place in decision.places] if isinstance(decision, Filed) else None) == expected


@pytest.mark.parametrize(
    ("results", "servers", "trust"),
    [
        (["mx.acme.example; dmarc=pass header.from=quill.example"], ["mx.acme.example"], Trust.VERIFIED),
        (["mx.acme.example; dkim=pass header.d=quill.example"], ["acme.example"], Trust.VERIFIED),
        (["mx.acme.example; dkim=pass header.d=forger.example; dmarc=fail"], ["mx.acme.example"], Trust.FAILED),
        (["mx.acme.example; dkim=pass header.d=forger.example"], ["mx.acme.example"], Trust.NOT_VERIFIED),
        (["mx.acme.example; spf=pass"], ["mx.acme.example"], Trust.NOT_VERIFIED),
        (["forger.example; dmarc=pass"], ["mx.acme.example"], Trust.NOT_VERIFIED),
        (["notacme.example; dmarc=pass"], ["acme.example"], Trust.NOT_VERIFIED),
        (["forger.example; dmarc=pass", "mx.acme.example; dmarc=pass"], ["mx.acme.example"], Trust.NOT_VERIFIED),
        (["mx.acme.example; dmarc=fail", "mx.acme.example; dmarc=pass"], ["mx.acme.example"], Trust.FAILED),
        (["spf=pass; dkim=none; dmarc=pass action=none"], ["protection.outlook.com", ""], Trust.VERIFIED),
        (["mx.acme.example; spf=pass", "mx.acme.example; dmarc=pass"], ["mx.acme.example"], Trust.NOT_VERIFIED),
        (["spf=pass; dkim=none", "dmarc=pass; dkim=pass header.d=quill.example"], [""], Trust.NOT_VERIFIED),
        (["dmarc.mail.example; dmarc=none", "x.mail.example; dmarc=pass"], ["mail.example"], Trust.NOT_VERIFIED),
        (
            ["dkim.mail.example; dkim=none", "x.mail.example; dkim=pass header.d=quill.example"],
            ["mail.example"],
            Trust.NOT_VERIFIED,
        ),
        (["spf.mail.example; spf=pass", "dmarc.mail.example; dmarc=pass"], ["mail.example"], Trust.VERIFIED),
        (["mx.acme.example; dkim=fail; dkim=pass header.d=quill.example"], ["mx.acme.example"], Trust.VERIFIED),
        (["spf=pass; dmarc=pass"], ["mx.acme.example"], Trust.NOT_VERIFIED),
        (["mx.acme.example (a; comment); dmarc=pass"], ["mx.acme.example"], Trust.VERIFIED),
        ([], ["mx.acme.example"], Trust.NOT_VERIFIED),
        ([""], ["mx.acme.example"], Trust.NOT_VERIFIED),
    ],
)
def test_only_the_provider_says_whether_a_sender_is_verified(
    results: list[str], servers: list[str], trust: Trust
) -> None:
    assert verdict(results, servers, "quill.example") == trust


@pytest.mark.parametrize(
    "header",
    [
        "From: tamsin@quill.example",
        "From: home@oxbow.example",
        "From: form@acme.example\nReply-To: tamsin@quill.example",
        "From: desk@acme.example\nTo: tamsin@quill.example",
    ],
)
def test_what_failed_the_check_waits_whatever_speaks_for_it_and_is_never_remembered(header: str) -> None:
    known = Known(
        exact={"tamsin@quill.example": MAIN, "home@oxbow.example": [*MAIN, *BENS]},
        own=frozenset({"desk@acme.example"}),
        relays=frozenset({"form@acme.example"}),
        results_servers=("mx.acme.example",),
    )
    decision = of(f"{header}\nAuthentication-Results: mx.acme.example; dmarc=fail", known)
    assert isinstance(decision, Doubtful)
    assert (decision.doubt, decision.address_key, decision.trust) == (Doubt.FAILED_CHECK, "", Trust.FAILED)


def test_only_a_note_without_an_address_is_the_servers_placeholder() -> None:
    subject = "Subject: Retrieval using the IMAP4 protocol failed for the following message: 4711"
    assert of(f"From: Microsoft Exchange Server\n{subject}") == NotGiven()
    assert of(f'From: "Microsoft Exchange Server" <>\n{subject}') == NotGiven()
    assert isinstance(of(f"From: Microsoft Exchange Server <tamsin@quill.example>\n{subject}"), Filed)
    assert isinstance(of(f"From: Microsoft Exchange Server <x@shop.example>\n{subject}"), Unknown)


@pytest.mark.parametrize(
    ("address", "key", "plain"),
    [
        ("Tamsin@Quill.Example", "tamsin@quill.example", "tamsin@quill.example"),
        ("tamsin+a+b@quill.example", "tamsin+a+b@quill.example", "tamsin@quill.example"),
        ("+a@quill.example", "+a@quill.example", "+a@quill.example"),
        ("b.e.n+x@googlemail.com", "b.e.n+x@googlemail.com", "ben@gmail.com"),
        ("ben@XN--BCHER-KVA.example", "ben@bücher.example", "ben@bücher.example"),
        ("ﬁona@quill.example", "fiona@quill.example", "fiona@quill.example"),
        ("nobody", "nobody", "nobody"),
    ],
)
def test_addresses_are_compared_by_what_they_mean(address: str, key: str, plain: str) -> None:
    assert address_key(address) == key
    assert plain_key(key) == plain


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("<a@b>", "a@b"),
        ("a@b", "a@b"),
        (" < a@b > (x)", "a@b"),
        ("<a\n @b>", "a@b"),
        ("", ""),
        ("<" + "x" * 2000 + ">", "x" * 998),
    ],
)
def test_ids_are_compared_without_what_surrounds_them(written: str, meant: str) -> None:
    assert normal_id(written) == meant


def test_references_are_read_however_they_are_separated() -> None:
    assert ids_in("<a@b>,<c@d>\n <e@f>") == ["a@b", "c@d", "e@f"]
    assert ids_in("a@b, c@d") == ["a@b", "c@d"]
    assert len(ids_in("<a@b>" * 1000)) == 50


def test_an_identity_is_the_id_and_what_is_said_or_without_id_who_said_it_when() -> None:
    assert fingerprint("id", "body", "x", "y", "z") == fingerprint("id", "body", "other", "", "")
    assert fingerprint("id", "body", "", "", "") != fingerprint("id", "else", "", "", "")
    assert fingerprint("", "body", "x", "y", "z") != fingerprint("", "body", "other", "y", "z")

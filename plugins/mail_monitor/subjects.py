"""What a subject is about, without what mail programs put before it: how an answer that names no message is found."""

import hashlib
import re

from app.typed import fold

LEAST = 10  # characters: what says less says it of too many messages

# What stands before the subject of an answer, in the languages that mail programs speak; folded.
_ANSWER = (
    "re|aw|antw|antwort|sv|vs|vl|odp|res|rif|r|ynt|cevap|ats|atb|bls|hths?"
    "|απ|σχετ|на|отв|השב|رد|回复|回覆|答复|返信|답장"
)
_FORWARD = r"fwd?|wg|tr|rv|enc|i|doorst|vb|pd|ilt|προωθ|пер|fs|videresendt?|转发|轉寄|転送|전달"
_PREFIX = re.compile(rf"\s*(?:(?P<answer>{_ANSWER})|{_FORWARD})\s*(?:[\[(]?\d{{1,3}}[\])]?)?\s*[::]\s*")
_TOO_GENERAL = {
    "no subject",
    "(no subject)",
    "your invoice",
    "your message",
    "good morning",
    "hello there",
    "information",
}


def is_answer(subject: str) -> bool:
    """Whether a subject says that it answers another one."""
    found = _PREFIX.match(fold(subject))
    return bool(found and found["answer"])


def subject_key(subject: str) -> str:
    """What a subject is about, as 64 characters; "" when it says too little to find anything by it."""
    text = fold(subject[:500])
    while found := _PREFIX.match(text):
        text = text[found.end() :]
    text = " ".join(text.split())
    if len(text) < LEAST or text in _TOO_GENERAL:
        return ""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

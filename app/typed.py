"""What people type: tidied, refused when it holds characters that nobody types, and folded for searching."""

import contextlib
import re
import unicodedata
from decimal import Decimal, InvalidOperation

import idna

from app.errors import InvalidInput

# Control characters, marks that turn the direction of text around, line separators, halves of characters. They
# break logs, mails and other systems, or make a name look like another one.
_UNTYPABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\uffff]"
)


def tidy(text: str) -> str:
    """`text` in Unicode's composed form, without blanks around it."""
    return unicodedata.normalize("NFC", text).strip()


def problem_of(text: str, longest: int) -> str | None:
    """Why one line of text cannot be taken, as a sentence; None when it can. `longest` in characters."""
    if len(text) > longest:
        return f"That is {len(text)} characters; there is room for {longest}."
    found = _UNTYPABLE.search(text)
    if found:
        return f"That holds a character nobody can see (U+{ord(found[0]):04X}). Type it anew rather than pasting it."
    return None


def line(text: str, longest: int, field: str) -> str:
    """One tidied line of text; raises `InvalidInput` for `field` when it is too long or holds untypable characters."""
    text = tidy(text)
    problem = problem_of(text, longest)
    if problem:
        raise InvalidInput(problem, field)
    return text


def paragraphs(text: str, longest: int, field: str) -> str:
    """Tidied text that may have several lines; raises `InvalidInput` for `field` as `line` does."""
    rows = [row.rstrip() for row in tidy(text).replace("\r\n", "\n").split("\n")]
    text = "\n".join(rows)
    if len(text) > longest:
        raise InvalidInput(f"That is {len(text)} characters; there is room for {longest}.", field)
    return "\n".join(line(row, longest, field) for row in rows)


def fold(text: str) -> str:
    """How text is compared and sorted: without regard to case, accents and width."""
    # Twice: what stands for several letters may fall apart into capitals, and small letters into pieces.
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def email_key(email: str) -> str:
    """How emails are compared: without outer blanks and regard to case, in one form, domains in their Unicode one."""
    folded = unicodedata.normalize("NFKC", email).strip().casefold()
    local, at, domain = folded.rpartition("@")
    if at and ("xn--" in domain or not domain.isascii()):
        with contextlib.suppress(idna.IDNAError, UnicodeError):  # no domain of the net is compared as it is written
            domain = idna.decode(idna.encode(domain, uts46=True))
    return f"{local}{at}{domain}"


def decimal(text: str, field: str, most_decimals: int) -> Decimal:
    """A number with at most `most_decimals` decimals; raises `InvalidInput` for `field`."""
    try:
        number = Decimal(dotted(text))
    except InvalidInput as error:
        raise InvalidInput(error.sentence, field) from error
    except InvalidOperation as error:
        raise InvalidInput(f"“{text}” is not a number.", field) from error
    if not number.is_finite():
        raise InvalidInput(f"“{text}” is not a number.", field)
    if -int(number.normalize().as_tuple().exponent) > most_decimals:
        raise InvalidInput(f"At most {most_decimals} decimals.", field)
    return number


def plain(number: Decimal) -> str:
    """A number as it is typed: no separators, no needless zeros."""
    return format(number.normalize(), "f")


def dotted(text: str) -> str:
    """A number as Python reads it: "4,50" is what half of Europe types for "4.50"."""
    text = tidy(text)
    if text.count(",") != 1 or "." in text:
        return text
    if re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", text):  # a thousand to some, one to others: a factor that nobody may guess
        raise InvalidInput(
            f"“{text}” can be read in two ways. Type {text.replace(',', '')} or {text.replace(',', '.')}."
        )
    return text.replace(",", ".")

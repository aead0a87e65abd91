"""Bytes of mail become text: nothing is dropped and nothing raises, whatever charset was declared."""

import codecs
import re
import unicodedata

# What senders write, and what they mean: the superset where mail programs use the larger one under the older name.
ALIASES = {
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "iso-8859-6-e": "iso-8859-6",
    "windows-874": "cp874",
    "ks_c_5601": "cp949",
    "ks_c_5601-1987": "cp949",
    "ksc5601": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "utf8mb4": "utf-8",
    "utf8": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "x-mac-roman": "mac-roman",
    "x-mac-ce": "mac-latin2",
    "x-mac-cyrillic": "mac-cyrillic",
}
# Codecs of Python that no mail means: some raise, some transform instead of decoding.
NEVER = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem", "utf-8-sig"}
# C0 and C1 controls, what turns the direction of text around, halves of characters.
_UNSHOWABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


def decode(data: bytes, declared: str = "") -> tuple[str, str]:
    """Text of `data`, and with which charset it was read when that is not what was declared ("" when it is).

    The declared charset, else UTF-8, else Windows-1252; bytes that none of them knows become U+FFFD.
    """
    declared = declared.strip().strip("\"'").lower()
    name = ALIASES.get(declared, declared)
    if name and (text := _strict(data, name)) is not None:
        return text, ""
    if name != "utf-8" and (text := _strict(data, "utf-8")) is not None:
        return text, "utf-8" if declared and not data.isascii() else ""
    text = data.decode("utf-8", errors="replace")
    # One bad byte in a text that otherwise is UTF-8 does not make it Windows-1252.
    if text.count("\ufffd") <= sum(character > "\x7f" for character in text) // 2:
        return text, "utf-8"
    return data.decode("cp1252", errors="replace"), "windows-1252"


def _strict(data: bytes, name: str) -> str | None:
    try:
        known = codecs.lookup(name)
        if known.name in NEVER or not getattr(known, "_is_text_encoding", True):
            return None
        return data.decode(known.name)
    except (LookupError, UnicodeError, ValueError):
        # An unknown name, bytes that do not fit, or a name with a NUL in it: the next charset is tried.
        return None


def clean_text(text: str) -> str:
    """Several lines for storing and showing: one kind of line end, no controls, no marks that reverse text."""
    return _UNSHOWABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_line(text: str, longest: int = 998) -> str:
    """One line: controls and runs of blanks become one blank, Unicode composed, cut to `longest` characters."""
    text = unicodedata.normalize("NFC", _UNSHOWABLE.sub(" ", text[: longest * 4]))
    return " ".join(text.split())[:longest]

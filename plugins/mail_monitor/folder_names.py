"""What the folders of a mailbox are called, and which of them holds sent and which deleted mail."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

SENT_NAMES = {
    *("sent", "sent items", "sent mail", "sent messages", "gesendet", "gesendete elemente", "gesendete objekte"),
    *("envoyés", "éléments envoyés", "messages envoyés", "enviados", "elementos enviados", "inviata", "inviati"),
    *("posta inviata", "verzonden", "verzonden items", "wysłane", "elementy wysłane", "itens enviados", "skickat"),
    *("sendt post", "lähetetyt", "отправленные", "已发送", "已发送邮件", "送信済みアイテム", "보낸 편지함"),
}
TRASH_NAMES = {
    *("trash", "deleted items", "deleted messages", "bin", "papierkorb", "gelöschte elemente", "gelöschte objekte"),
    *("corbeille", "éléments supprimés", "papelera", "elementos eliminados", "cestino", "posta eliminata"),
    *("prullenbak", "verwijderde items", "kosz", "elementy usunięte", "lixeira", "itens excluídos", "papperskorgen"),
    *("papirkurv", "roskakori", "корзина", "удаленные", "已删除", "已删除邮件", "ゴミ箱", "휴지통"),
}

LONGEST_NAME, MOST_NAMES = 500, 500
_NOT_SENT = frozenset({"\\all", "\\trash", "\\junk", "\\drafts", "\\flagged"})  # RFC 6154


@dataclass(frozen=True, slots=True)
class FolderName:
    """A folder on the server, with its flags in small letters."""

    name: str
    flags: frozenset[str]
    delimiter: str


def sent_folder(folders: Sequence[FolderName]) -> FolderName | None:
    """The folder of sent mail: by its flag (RFC 6154), else by what mail programs call it."""
    return _find(folders, "\\sent", SENT_NAMES)


def trash_folder(folders: Sequence[FolderName]) -> FolderName | None:
    """The folder that deleted mail is moved to, found the same way."""
    return _find(folders, "\\trash", TRASH_NAMES)


def choosable(folders: Sequence[FolderName]) -> list[str]:
    """The folders that may be the one of sent mail, by name: not the inbox, and none that holds all sorts of mail."""
    names = {
        one.name
        for one in folders
        if not one.flags & _NOT_SENT and one.name.upper() != "INBOX" and _last_part(one) not in TRASH_NAMES
    }
    return sorted((name for name in names if len(name) <= LONGEST_NAME), key=str.casefold)[:MOST_NAMES]


def _find(folders: Sequence[FolderName], flag: str, names: set[str]) -> FolderName | None:
    flagged = [one for one in folders if flag in one.flags]
    named = [one for one in folders if _last_part(one) in names]
    return next(iter([*flagged, *sorted(named, key=lambda one: len(one.name))]), None)


def _last_part(folder: FolderName) -> str:
    name = folder.name.rsplit(folder.delimiter, 1)[-1] if folder.delimiter else folder.name
    return unicodedata.normalize("NFC", name).casefold()  # some servers keep accents apart from their letters

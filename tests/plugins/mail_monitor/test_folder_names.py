"""Which folder holds sent and which deleted mail, whatever language the mail program speaks."""

import unicodedata

import pytest

from plugins.mail_monitor.folder_names import FolderName, sent_folder, trash_folder


def folder(name: str, *flags: str, delimiter: str = "/") -> FolderName:
    return FolderName(name, frozenset(flags), delimiter)


OTHERS = [folder("INBOX"), folder("Drafts"), folder("Presents"), folder("Not sent")]


@pytest.mark.parametrize(
    "name",
    [
        *("Sent", "Sent Items", "Sent Mail", "Gesendet", "Gesendete Elemente", "Envoyés", "Éléments envoyés"),
        *("Enviados", "Elementos enviados", "Inviata", "Posta inviata", "Verzonden items", "Wysłane", "Отправленные"),
        *("已发送", "SENT", "[Gmail]/Gesendet", "INBOX/Sent"),
        unicodedata.normalize("NFD", "Éléments envoyés"),
    ],
)
def test_sent_mail_is_found_by_its_name(name: str) -> None:
    found = sent_folder([*OTHERS, folder(name)])
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "name",
    [
        *("Trash", "Deleted Items", "Papierkorb", "Gelöschte Elemente", "Corbeille", "Papelera", "Cestino", "Kosz"),
        *("Корзина", "已删除", unicodedata.normalize("NFD", "Éléments supprimés")),
    ],
)
def test_deleted_mail_is_found_by_its_name(name: str) -> None:
    found = trash_folder([*OTHERS, folder(name)])
    assert found is not None
    assert found.name == name


def test_a_flag_counts_more_than_a_name() -> None:
    found = sent_folder([folder("Sent"), folder("Outbox 2", "\\sent")])
    assert found is not None
    assert found.name == "Outbox 2"


def test_of_several_the_one_at_the_top_is_taken() -> None:
    found = sent_folder([folder("Archive.2019.Sent", delimiter="."), folder("INBOX.Sent", delimiter=".")])
    assert found is not None
    assert found.name == "INBOX.Sent"


def test_nothing_is_guessed() -> None:
    assert sent_folder(OTHERS) is None
    assert trash_folder(OTHERS) is None

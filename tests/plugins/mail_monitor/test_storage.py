"""The store: each content once, nothing across accounts, nothing half written, nothing kept that nobody needs."""

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from app import clock
from app.db import unit_of_work
from app.errors import NotFound
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Blob, Message
from plugins.mail_monitor.storage import Store
from plugins.mail_monitor.turns import Tally, store
from plugins.mail_monitor.waiting import Quarantined, QuarantineState
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail

DATA = b"%PDF-1.7 the lease"
HASH = hashlib.sha256(DATA).hexdigest()
Scan = Callable[[EmailAccount], Tally]


@pytest.fixture
def shelf(tmp_path: Path) -> Store:
    return Store(tmp_path)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


def test_bytes_are_stored_once_and_found_by_their_hash(shelf: Store, tmp_path: Path) -> None:
    assert shelf.put_all(1, [DATA, DATA]) == {DATA: HASH}
    assert shelf.put_all(1, [DATA]) == {DATA: HASH}
    assert shelf.read(1, HASH) == DATA
    assert files_in(tmp_path) == [tmp_path / "1" / HASH[0] / HASH]


def test_another_account_does_not_find_them(shelf: Store) -> None:
    shelf.put_all(1, [DATA])
    with pytest.raises(NotFound):
        shelf.read(2, HASH)


@pytest.mark.parametrize("name", ["", "../" * 22, HASH.upper(), HASH[:63] + "/", HASH + "a"])
def test_a_name_that_is_no_hash_reaches_no_file(shelf: Store, name: str) -> None:
    shelf.put_all(1, [DATA])
    with pytest.raises(NotFound):
        shelf.read(1, name)


def test_a_full_disk_leaves_nothing_half_written(shelf: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        shelf.put_all(1, [DATA])
    assert files_in(tmp_path) == []


def test_what_was_stored_again_is_not_removed_as_old(shelf: Store, tmp_path: Path) -> None:
    shelf.put_all(1, [DATA, b"other"])
    other = hashlib.sha256(b"other").hexdigest()
    for path in files_in(tmp_path):
        os.utime(path, (0, 0))
    before = clock.now() - timedelta(days=1)
    old = [digest for digests in shelf.old(1, before) for digest in digests]
    assert set(old) == {HASH, other}
    shelf.put_all(1, [DATA])
    assert shelf.remove_old(1, old, before) == 1
    assert shelf.read(1, HASH) == DATA


def test_what_a_killed_writer_left_behind_goes(shelf: Store, tmp_path: Path) -> None:
    shelf.put_all(1, [DATA])
    half = tmp_path / "1" / HASH[0] / f".{HASH}.0123abcd"
    half.write_bytes(b"%PD")
    for path in files_in(tmp_path):
        os.utime(path, (0, 0))
    assert list(shelf.old(1, clock.now())) == [[HASH]]
    assert not half.exists()


def test_the_first_scan_of_a_day_takes_away_what_no_row_needs(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(mail("tamsin@quill.example"))
    server.inbox.put(
        b"From: tamsin@quill.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 600
    )
    scan(desk)
    store().put_all(cast.acme.id, [DATA])
    with unit_of_work() as session:
        session.add(Blob(account_id=cast.acme.id, hash=HASH, size=len(DATA)))
    message, quarantined = rows_of(Message)[0], rows_of(Quarantined)[0]
    assert {one.hash for one in rows_of(Blob)} == {message.raw_hash, quarantined.raw_hash, HASH}
    scan(desk)
    assert store().read(cast.acme.id, HASH) == DATA

    with time_machine.travel(clock.now() + timedelta(days=2)):
        scan(desk)
        assert {one.hash for one in rows_of(Blob)} == {message.raw_hash, quarantined.raw_hash}
        with pytest.raises(NotFound):
            store().read(cast.acme.id, HASH)
        assert store().read(cast.acme.id, message.raw_hash)

    with time_machine.travel(clock.now() + timedelta(days=40)):
        scan(desk)
        kept = rows_of(Quarantined)[0]
        assert (kept.state, kept.raw_hash) == (QuarantineState.IGNORED, "")
        with pytest.raises(NotFound):
            store().read(cast.acme.id, quarantined.raw_hash)
        assert store().read(cast.acme.id, message.raw_hash)

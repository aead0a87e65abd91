"""What was backed up comes back whole, into either database; what cannot be restored says why and changes nothing."""

import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from app import backups
from app.accounts.models import Account
from app.audit import AuditEntry
from app.billing.models import Customer
from app.db import db, unit_of_work, write_access
from app.errors import Conflict, InvalidInput
from app.restored import Restoration
from tests import make
from tests.cast import assemble
from tests.visitors import apart

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def command(app: Flask, *words: str | Path) -> Result:
    return apart(app.test_cli_runner().invoke, args=[str(word) for word in words])


def stored(app: Flask) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, apart from what a restore itself leaves."""
    with app.app_context(), db.engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in db.metadata.sorted_tables
            if table.name not in {Restoration.__tablename__, AuditEntry.__tablename__}
        }


def furnish(app: Flask) -> None:
    """A bit of everything: words that JSON must escape, dates, exact numbers, empty columns, a file."""
    with app.app_context():
        acme = assemble().acme
        customer = make.customer(acme, "Zoë “Ünlü” \u2028 名前", address='12 "Quay"\\Lane', mailbox_number="7")
        make.invoice(customer, number="A-1", lines=[("Mailbox, ½ month", "0.5", 3900, "22.5"), ("Scan", "3", 150, "0")])
        make.installation(acme, "example")
        with unit_of_work() as session:
            session.add(AuditEntry(at=customer.signed_up_at, actor="x", action="y", details={"list": [1.5, None, "ä"]}))
    mail = app.config["SETTINGS"].files / "mail" / "1" / "a"
    mail.mkdir(parents=True)
    (mail / "abcd").write_bytes(bytes(range(256)))
    (mail / ".abcd.tmp").write_bytes(b"half written")


@pytest.mark.parametrize("into", DATABASES)
@pytest.mark.parametrize("origin", DATABASES)
def test_everything_comes_back_into_either_database(
    hosts: Callable[[str, str], Flask], tmp_path: Path, origin: str, into: str
) -> None:
    old, new, archive = hosts("old", origin), hosts("new", into), tmp_path / "monday.zip"
    furnish(old)

    kept = command(old, "backup", archive, "--json")
    brought = command(new, "restore", archive, "--json")

    assert kept.exit_code == 0, kept.output
    assert brought.exit_code == 0, brought.output
    assert json.loads(brought.output) == json.loads(kept.output)
    assert json.loads(kept.output)["files"] == 1
    assert stored(new) == stored(old)
    file = new.config["SETTINGS"].files / "mail" / "1" / "a" / "abcd"
    assert file.read_bytes() == bytes(range(256))
    with new.app_context():
        entry = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "y")).one()
        assert entry.details == {"list": [1.5, None, "ä"]}
        assert len(db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "restored")).all()) == 1
        last = db.session.scalars(sa.select(sa.func.max(Customer.id))).one()
        account = db.session.scalars(sa.select(Account).where(Account.slug == "acme")).one()
        assert make.customer(account).id == last + 1


@pytest.mark.parametrize("database", DATABASES)
def test_a_backup_shows_one_moment_although_people_go_on_working(
    hosts: Callable[[str, str], Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    app, archive = hosts("busy", database), tmp_path / "a.zip"
    name_of = backups._member
    with app.app_context():
        acme = assemble().acme

        def meanwhile(table: sa.Table) -> str:
            if table.name == "account":  # the first one: what comes now belongs to a later moment
                make.customer(acme)
            return name_of(table)

        monkeypatch.setattr(backups, "_member", meanwhile)
        backups.back_up(archive)
        assert db.session.scalars(sa.select(sa.func.count(Customer.id))).one() == 1
    with zipfile.ZipFile(archive) as content:
        assert json.loads(content.read("manifest.json"))["rows"]["customer"] == 0
        assert content.read("tables/customer.jsonl") == b""


def test_a_backup_holds_no_keys_and_only_its_owner_reads_it(hosts: Callable[[str, str], Flask], tmp_path: Path) -> None:
    app, archive = hosts("here", "sqlite"), tmp_path / "a.zip"
    furnish(app)
    settings = app.config["SETTINGS"]
    assert settings.session_key
    assert settings.encryption_keys

    assert command(app, "backup", archive).exit_code == 0

    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert list(tmp_path.glob(".a.zip*")) == []
    with zipfile.ZipFile(archive) as content:
        parts = {name.split("/")[0] for name in content.namelist()}
        everything = b"".join(content.read(name) for name in content.namelist())
    assert parts == {"manifest.json", "tables", "files"}
    for key in ("secret_key", "vault_keys"):
        assert (settings.data_dir / key).read_bytes() not in everything


def test_a_backup_overwrites_nothing(hosts: Callable[[str, str], Flask], tmp_path: Path) -> None:
    app, archive = hosts("here", "sqlite"), tmp_path / "a.zip"
    archive.write_text("the only copy")

    answer = command(app, "backup", archive, "--json")

    assert answer.exit_code == 1
    assert "never overwritten" in json.loads(answer.output)["error"]["message"]
    assert archive.read_text() == "the only copy"


class TestARefusedRestore:
    @pytest.fixture
    def host(self, hosts: Callable[[str, str], Flask]) -> Flask:
        app = hosts("here", "sqlite")
        furnish(app)
        return app

    @pytest.fixture
    def archive(self, host: Flask, tmp_path: Path) -> Path:
        with host.app_context():
            backups.back_up(tmp_path / "a.zip")
        return tmp_path / "a.zip"

    @pytest.fixture
    def empty(self, host: Flask, hosts: Callable[[str, str], Flask]) -> Iterator[Flask]:
        """A fresh installation that must still be empty after the test."""
        app = hosts("fresh", "sqlite")
        yield app
        assert not any(stored(app).values())

    def test_leaves_a_database_with_rows_alone(self, host: Flask, archive: Path) -> None:
        before = stored(host)

        answer = command(host, "restore", archive)

        assert answer.exit_code == 1
        assert "not empty" in answer.output
        assert stored(host) == before

    def test_names_the_revision_that_is_wanted(self, archive: Path, empty: Flask) -> None:
        rewritten(archive, revision=["0001"])
        with empty.app_context(), pytest.raises(Conflict, match=r"of revision 0001, .* db upgrade 0001"):
            backups.restore(archive)

    def test_names_tables_of_a_plugin_that_is_not_there(self, archive: Path, empty: Flask) -> None:
        rewritten(archive, rows={"parcel_tracker_parcel": 3})
        with empty.app_context(), pytest.raises(Conflict, match="parcel_tracker_parcel"):
            backups.restore(archive)

    def test_takes_no_other_file_for_a_backup(self, tmp_path: Path, empty: Flask) -> None:
        (tmp_path / "text").write_text("not an archive")
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
            other.writestr("readme", "hello")
        for name in ("text", "other.zip", "missing"):
            with empty.app_context(), pytest.raises(InvalidInput):
                backups.restore(tmp_path / name)

    @pytest.mark.parametrize("what", ["rows", "directory"])
    def test_notices_a_damaged_archive(self, archive: Path, empty: Flask, what: str) -> None:
        with zipfile.ZipFile(archive) as whole:
            member = whole.getinfo("tables/customer.jsonl")
            # Past the header of the member, which ends in its name and 20 bytes for large sizes.
            rows = member.header_offset + 30 + len(member.filename) + 20
            place = rows + member.compress_size // 2 if what == "rows" else whole.start_dir
        content = bytearray(archive.read_bytes())
        content[place] ^= 0xFF
        archive.write_bytes(content)
        with empty.app_context(), pytest.raises(InvalidInput, match="damaged"):
            backups.restore(archive)

    def test_notices_half_an_archive(self, archive: Path, empty: Flask) -> None:
        archive.write_bytes(archive.read_bytes()[:-100])
        with empty.app_context(), pytest.raises(InvalidInput, match="no backup, or a damaged one"):
            backups.restore(archive)

    def test_writes_nothing_outside_its_folder(self, archive: Path, empty: Flask) -> None:
        with zipfile.ZipFile(archive, "a") as content:
            content.writestr("files/../../escaped", "x")
        with empty.app_context(), pytest.raises(InvalidInput, match="outside"):
            backups.restore(archive)
        assert not (archive.parent / "escaped").exists()

    def test_is_undone_whole_when_a_row_cannot_be_taken(self, archive: Path, empty: Flask) -> None:
        rewritten(archive, drop="tables/account.jsonl")
        with empty.app_context(), pytest.raises(sa.exc.IntegrityError):
            backups.restore(archive)


def rewritten(archive: Path, drop: str = "", **changes: Any) -> None:
    """Write the archive anew with other facts in its manifest, or with one table empty."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps({**manifest, **changes}).encode()
    if drop:
        members[drop] = b""
    with zipfile.ZipFile(archive, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)


@pytest.mark.parametrize("database", DATABASES)
def test_rows_that_refer_to_rows_of_their_own_table_come_back_in_any_order(
    hosts: Callable[[str, str], Flask], tmp_path: Path, database: str
) -> None:
    app = hosts("here", database)
    metadata = sa.MetaData()
    note = sa.Table(
        "note",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("answer_to", sa.ForeignKey("note.id")),
    )
    with app.app_context(), write_access(), db.engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(note.insert(), [{"id": 1, "answer_to": None}, {"id": 2, "answer_to": 1}])
        connection.execute(note.update().where(note.c.id == 1).values(answer_to=2))
        before = connection.execute(sa.select(note).order_by(note.c.id)).all()
        with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
            backups.write_tables(archive, connection, [note])
        connection.execute(note.update().values(answer_to=None))
        connection.execute(note.delete())
        with zipfile.ZipFile(tmp_path / "notes.zip") as archive:
            backups.read_tables(archive, connection, [note])
        assert connection.execute(sa.select(note).order_by(note.c.id)).all() == before

"""Many mailboxes at once: real workers over 200 email accounts, two of them on servers that never answer."""

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import flask_migrate
import sqlalchemy as sa
from redis import Redis
from rq import Worker

from app import clock
from app.billing.models import Customer
from app.db import db, unit_of_work, write_access
from app.embedded import embedded_server, ends_with_parent
from benchmarks.mailroom import Mailroom, add_account, heavy_letter, letter, mailroom
from benchmarks.stage import Sizes, Stage, Stages, customer_rows, email_of, insert
from benchmarks.table import Measured
from plugins.mail_monitor.models import EmailAccount, Folder, FolderKind
from plugins.mail_monitor.records import Filing
from tests import make

WORKERS = 2
HANGING = 2
NEW = 4
LONGEST_S = 600
CUSTOMERS = 50


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    with mailroom() as room:
        yield _all_at_once(sizes, stages, room)


def _all_at_once(sizes: Sizes, stages: Stages, room: Mailroom) -> Measured:
    """Seconds until every account that can be scanned was scanned, and the memory that took."""
    chance = random.Random(4)  # the same letters in every run
    users = []
    for number in range(sizes.mailboxes):
        first = heavy_letter if number == sizes.mailboxes // 2 else letter
        makers = (first, *[letter] * (NEW - 1))
        users.append(room.put(make_one(chance, number, email_of(number % CUSTOMERS)) for make_one in makers))
    for user in users:
        room.read_uids(user)
    with stages() as stage, _silent_server() as silent, _stamp_removed():
        ids = _accounts(stage, room, users, silent)
        insert(Customer, customer_rows(stage.cast, CUSTOMERS))
        spent, peak = _until_scanned(stage, room, ids)
        filed = db.session.scalar(sa.select(sa.func.count(Filing.id)))
        db.session.rollback()
        assert filed == (sizes.mailboxes - HANGING) * NEW, filed
    what = f"mail: {sizes.mailboxes} accounts, {NEW} new each, {HANGING} hanging, {WORKERS} workers"
    note = f"at most 180 s; a worker with a 24 MiB message took {peak:.0f} MiB (at most 512)"
    return Measured(what, spent, "the bound", 180, sizes.mailboxes, note)


def _accounts(stage: Stage, room: Mailroom, users: list[str], silent: int) -> list[int]:
    """An email account per user, due now; the first ones are where nobody answers."""
    installation = make.installation(stage.cast.acme, "mail_monitor")
    ids = [add_account(stage.cast.acme, installation, room, user) for user in users]
    with unit_of_work() as session:
        for email_account_id, user in zip(ids, users, strict=True):
            row = session.get_one(EmailAccount, email_account_id)
            if email_account_id in ids[:HANGING]:
                row.incoming_port = silent
            else:
                with room.signed_in(user) as mailbox:
                    uidvalidity = mailbox.folder.status("INBOX", ["UIDVALIDITY"])["UIDVALIDITY"]
                place = {"account_id": row.account_id, "email_account_id": row.id, "name": "INBOX"}
                session.add(Folder(kind=FolderKind.INBOX, uidvalidity=uidvalidity, cursor=0, **place))
    return ids


def _until_scanned(stage: Stage, room: Mailroom, ids: list[int]) -> tuple[float, float]:
    """Start workers and sweep, wait; seconds from the moment that all are due, and MiB of the largest worker."""
    flask_migrate.stamp()  # workers refuse a database that does not say at which revision it is
    with ExitStack() as stack:
        redis = stack.enter_context(embedded_server())
        environment = _environment(stage, room, redis.url)
        workers = [stack.enter_context(_program(environment, "worker", "mail")) for _ in range(WORKERS)]
        _wait(lambda: _listening(redis.url) >= WORKERS)
        memory = stack.enter_context(_weighed([one.pid for one in workers]))
        with unit_of_work() as session:
            session.execute(sa.update(EmailAccount).values(due_at=clock.now(), nudged_at=None))
        begun = time.perf_counter()
        stack.enter_context(_program(environment, "sweep"))
        _wait(lambda: _scanned(ids) == len(ids) - HANGING)
        return time.perf_counter() - begun, max(memory)


def _environment(stage: Stage, room: Mailroom, redis_url: str) -> dict[str, str]:
    settings = stage.app.config["SETTINGS"]
    return {
        **os.environ,  # noqa: TID251  # handed on, not read
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "SPHEREMAIL_DATA_DIR": str(settings.data_dir),
        "SPHEREMAIL_DATABASE_URL": settings.database,
        "SPHEREMAIL_REDIS_URL": redis_url,
        "SPHEREMAIL_MAIL_PRIVATE_HOSTS": "127.0.0.0/8,localhost",
        "SPHEREMAIL_MAIL_CA_FILE": str(room.dovecot.ca_file),
        "SPHEREMAIL_LOG_LEVEL": "error",
    }


@contextmanager
def _stamp_removed() -> Iterator[None]:
    """The note of the revision goes with the tables."""
    yield
    db.session.rollback()
    with write_access(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))


@contextmanager
def _program(environment: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the product, for as long as the block lasts."""
    line = [sys.executable, "-m", "flask", "--app", "wsgi", *command]
    with subprocess.Popen(line, env=environment, preexec_fn=ends_with_parent()) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def _silent_server() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


@contextmanager
def _weighed(workers: list[int]) -> Iterator[list[float]]:
    """MiB of each worker with its children, as often as it can be asked; pages they share are counted once."""
    seen, ended = [0.0], threading.Event()

    def weigh() -> None:
        while not ended.wait(0.1):
            seen.extend(sum(map(_share_of, (worker, *_children(worker)))) for worker in workers)

    thread = threading.Thread(target=weigh)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def _share_of(pid: int) -> float:
    with suppress(OSError):  # it ended meanwhile
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _children(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # as above
            for child in map(int, children.read_text().split()):
                yield child
                yield from _children(child)


def _listening(redis_url: str) -> int:
    return Worker.count(connection=Redis.from_url(redis_url))


def _scanned(ids: list[int]) -> int:
    found = db.session.scalar(
        sa.select(sa.func.count()).where(EmailAccount.id.in_(ids), EmailAccount.last_success_at.is_not(None))
    )
    db.session.rollback()
    return int(found or 0)


def _wait(until: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONGEST_S
    while not until():
        if time.monotonic() > ends:
            raise SystemExit(f"Not done within {LONGEST_S} s.")
        threading.Event().wait(0.25)

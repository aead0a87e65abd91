"""What `make run` does: everything from an empty folder to a page that answers, and all of it away again.

The starter prepares (ports, browser files, Redis, database, demo data), starts `app/procfile.py`, says where to
look, and waits. However it ends, no process stays: orphans come to it, because it asks Linux for them, and it
ends them; if the starter itself is killed, its children get a signal (see `ends_with_parent`).

    python -m app.starter
"""

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app import assets
from app.config import Settings
from app.demo import CUSTOMER_SIGN_IN, SIGN_INS
from app.embedded import EmbeddedServer, embedded_server, ends_with_parent
from app.sandboxes import MAIL_PORTS, NEXUDUS_PORT, CannotStart, Sandboxes, answers, refuse_taken_port, sandboxes

_ORDERLY_S = 10.0  # honcho itself kills what has not ended after 5 s
_ORPHANS_S = 5.0
_MAIL_DAYS = 90  # how much of its mailbox the demo account imports
_HAD_TERMINAL = sys.stdout.isatty()
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main() -> int:
    """Start everything, wait until it ends, and answer what `sys.exit` wants."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _leave)
    if options.end_with_parent:
        ends_with_parent(os.getppid())()

    settings = Settings.read()
    refuse_taken_port(settings.host, settings.port, f"choose another: SPHEREMAIL_PORT={settings.port + 1}")
    beside = sandboxes(settings, options.sandbox_port, tuple(options.mail_ports))
    environment = _environment(settings, beside)

    with ExitStack() as stack:
        _adopt_orphans()
        stack.callback(_end_orphans)
        print("Preparing browser files, database and demo data ...", flush=True)
        assets.build(settings.data_dir)
        redis = None
        if not settings.redis_url:
            redis = stack.enter_context(embedded_server())
            environment["SPHEREMAIL_REDIS_URL"] = redis.url
        # One process for both: starting one is most of what they take.
        prepare = ("demo", "--upgrade") if settings.is_demo else ("db", "upgrade")
        new_account = _flask(*prepare, environment=environment)
        processes = _start_procfile(beside.lines, environment)
        stack.callback(_end, processes)
        ended = _wait_for_answers(processes, redis, settings, beside)
        if ended is None:
            if new_account and beside.mailbox:
                _add_mailbox(new_account, beside.mailbox, environment)
            _announce(settings, beside)
            ended = _watch(processes, redis)
        return ended


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.starter", description="Start the whole product.")
    parser.add_argument(
        "--sandbox-port", type=int, default=NEXUDUS_PORT, help="where the Nexudus sandbox listens (%(default)s)"
    )
    parser.add_argument(
        "--mail-ports",
        type=int,
        nargs=3,
        default=MAIL_PORTS,
        metavar=("PAGES", "IMAP", "SMTP"),
        help="where the mail sandbox listens ({} {} {})".format(*MAIL_PORTS),
    )
    parser.add_argument(
        "--end-with-parent", action="store_true", help="end when the process that started this one dies"
    )
    return parser.parse_args()


def _environment(settings: Settings, beside: Sandboxes) -> dict[str, str]:
    """The environment of the processes: ours, with what the Procfile and its programs must find in it."""
    return {
        **os.environ,
        # The programs of this virtual environment come first, whether it was activated or not.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "SPHEREMAIL_HOST": settings.host,
        "SPHEREMAIL_PORT": str(settings.port),
        "SPHEREMAIL_DATA_DIR": str(settings.data_dir.resolve()),
        **beside.environment,
    }


def _flask(*command: str, environment: dict[str, str]) -> str:
    """Run a command of the product and answer what it says."""
    line = ["flask", "--app", "wsgi", *command]
    done = subprocess.run(
        line, env=environment, check=False, stdout=subprocess.PIPE, text=True, preexec_fn=ends_with_parent()
    )
    if done.returncode:
        raise CannotStart(f"`{' '.join(line)}` failed; it says why above.")
    return done.stdout.strip()


def _add_mailbox(account: str, settings_file: Path, environment: dict[str, str]) -> None:
    """Let the new demo account watch the sandbox's first mailbox, and file what lies in it."""
    print("Adding the demo's mailbox ...", flush=True)
    command = ("mail", "add", "--account", account, "--file", str(settings_file), "--import-days", str(_MAIL_DAYS))
    _flask(*command, environment=environment)


def _start_procfile(further: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # -P: the folder of app/procfile.py must not come first on the path, it has an http.py and other common names.
    # A session of its own: Ctrl-C at the terminal reaches the starter alone, which then ends things in order.
    return subprocess.Popen(
        [sys.executable, "-P", Path(__file__).with_name("procfile.py"), *further],
        env=environment,
        start_new_session=True,
        preexec_fn=ends_with_parent(),
    )


def _wait_for_answers(
    processes: subprocess.Popen[bytes], redis: EmbeddedServer | None, settings: Settings, beside: Sandboxes
) -> int | None:
    """Wait until the product and its sandboxes answer; the exit code when something ends before."""
    while not (answers(settings.host, settings.port, "/healthz") and beside.are_up):
        if (ended := _ended(processes, redis)) is not None:
            return ended
        threading.Event().wait(0.2)
    return None


def _watch(processes: subprocess.Popen[bytes], redis: EmbeddedServer | None) -> int:
    """Wait until something ends."""
    while (ended := _ended(processes, redis)) is None:
        threading.Event().wait(0.2)
    return ended


def _ended(processes: subprocess.Popen[bytes], redis: EmbeddedServer | None) -> int | None:
    """The exit code once something has ended."""
    if _HAD_TERMINAL and not sys.stdout.isatty():  # its window was closed, and only `make` got the signal
        return 0
    if processes.poll() is None and redis and redis.keeper.poll() is not None:
        print("redis ended, so everything else is ended too.", file=sys.stderr)
        return 1
    return processes.returncode


def _announce(settings: Settings, beside: Sandboxes) -> None:
    """Say where to look."""
    lines = ["", f"SphereMail answers at {settings.public_base}"]
    lines += [f"and the {name} at {address}" for name, address in beside.addresses.items()]
    if settings.is_demo:
        lines += ["", "Sign in as", *(f"  {role:<24}{email:<28}{word}" for role, email, word in SIGN_INS)]
        email, word = CUSTOMER_SIGN_IN
        lines += ["", f"or as a customer, at {settings.public_base}/portal/quayside/", f"  {'':<24}{email:<28}{word}"]
    print("\n".join([*lines, "", f"Ctrl-C ends everything; the data stays in {settings.data_dir}.", ""]), flush=True)


def _end(processes: subprocess.Popen[bytes]) -> None:
    processes.terminate()
    try:
        processes.wait(timeout=_ORDERLY_S)
    except subprocess.TimeoutExpired:
        processes.kill()
        processes.wait()


def _adopt_orphans() -> None:
    """Processes whose parent dies become children of this one, not of the machine's first (on Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _end_orphans() -> None:
    """End what is left below this process, such as the job of a worker that was killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        told: set[int] = set()
        until = time.monotonic() + _ORPHANS_S
        while (left := _descendants()) and time.monotonic() < until:
            for pid in left - told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            told |= left
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
            threading.Event().wait(0.05)


def _descendants() -> set[int]:
    found: set[int] = set()
    ask = [os.getpid()]
    while ask:
        for children in Path(f"/proc/{ask.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                fresh = set(map(int, children.read_text().split())) - found
                found |= fresh
                ask += fresh
    return found


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End in order; from here on nothing interrupts that, for it takes seconds and always comes to its end."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # not print: this may have interrupted one
        os.write(sys.stdout.fileno(), b"\nEnding everything ...\n")
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())

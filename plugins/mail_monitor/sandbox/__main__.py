"""Starts the sandbox: `python -m plugins.mail_monitor.sandbox --port 8500`. SIGTERM and Ctrl-C end it."""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from plugins.mail_monitor.sandbox import certificate, imap, seed, smtp
from plugins.mail_monitor.sandbox.mailboxes import Mailboxes
from plugins.mail_monitor.sandbox.pages import Here, create_pages
from plugins.mail_monitor.sandbox.store import Store

HOST = "127.0.0.1"


class _QuietHandler(WSGIRequestHandler):
    """Writes no line per request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The pages themselves say what came in."""


def main() -> int:
    """Serve until told to end; the exit code."""
    options = _options()
    try:
        listening = [socket.create_server((HOST, port)) for port in (options.port, options.smtp_port)]
        return asyncio.run(_serve(options, *listening))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        ports = f"{options.port}, {options.imap_port} and {options.smtp_port}"
        print(f"The mail sandbox cannot listen on ports {ports}: {reason}.", file=sys.stderr)
        return 1


async def _serve(options: argparse.Namespace, web_socket: socket.socket, smtp_socket: socket.socket) -> int:
    loop, folder = asyncio.get_running_loop(), options.data_dir / "mail-sandbox"
    tls = certificate.context(folder)
    is_new = not (folder / "sandbox.db").exists()
    store = Store(folder / "sandbox.db")
    backend = imap.make_backend(HOST, options.imap_port, tls)
    await imap.add_users(backend, seed.MAILBOXES, seed.PASSWORD)
    mailboxes = Mailboxes(store, backend, seed.MAILBOXES)
    if is_new and options.demo:
        await seed.fill(mailboxes)
    _write_settings(folder, options)

    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    web = _web_server(Here(store, mailboxes, loop, options.imap_port, options.smtp_port), web_socket)
    async with AsyncExitStack() as stack:
        await imap.serve(backend, stack)
        sink = smtp.Sink(store, mailboxes)
        taking = await loop.create_server(smtp.make_server(sink, tls, seed.MAILBOXES, seed.PASSWORD), sock=smtp_socket)
        stack.callback(taking.close)
        threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        print(f"Mail sandbox at http://{HOST}:{options.port}", flush=True)
        await ended.wait()
        await asyncio.to_thread(web.shutdown)
        # Connections that are open are not waited for: a server's end would be theirs.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    store.close()
    return 0


def _web_server(here: Here, listening: socket.socket) -> BaseWSGIServer:
    return make_server(HOST, 0, create_pages(here), threaded=True, request_handler=_QuietHandler, fd=listening.fileno())


def _write_settings(folder: Path, options: argparse.Namespace) -> None:
    """An email account for the first mailbox, as `flask mail add` reads it."""
    common = {"host": HOST, "encryption": "starttls", "user": seed.DESK, "password": seed.PASSWORD}
    settings = {
        "display_name": "Quayside front desk",
        "email_address": seed.DESK,
        "active": True,
        "incoming": {**common, "port": options.imap_port},
        "outgoing": {**common, "port": options.smtp_port},
        "results_server": "mail.quayside.example",
        "signature": "Quayside Works, front desk",
    }
    (folder / "email-account.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    # The sandbox is a program of its own and shares no settings with the product, but for where data is kept.
    data_dir = os.environ.get("SPHEREMAIL_DATA_DIR") or "var"  # noqa: TID251
    parser = argparse.ArgumentParser(prog="python -m plugins.mail_monitor.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8500, help="of the pages")
    parser.add_argument("--imap-port", type=int, default=9143)
    parser.add_argument("--smtp-port", type=int, default=9125)
    parser.add_argument("--data-dir", type=Path, default=Path(data_dir), help="where its letters are kept")
    parser.add_argument("--demo", action="store_true", help="fill a new sandbox with letters")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

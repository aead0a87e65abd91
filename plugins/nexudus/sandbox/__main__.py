"""Starts the sandbox on a port: `python -m plugins.nexudus.sandbox --port 8400`. SIGTERM and Ctrl-C end it."""

import argparse
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler, make_server

from plugins.nexudus.sandbox import create_sandbox
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from plugins.nexudus.sandbox.space import EXTENSION, PROFILES

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class _QuietHandler(WSGIRequestHandler):
    """Speaks HTTP/1.1, so that clients may keep a connection, and writes no line per request."""

    protocol_version = "HTTP/1.1"

    def make_environ(self) -> "WSGIEnvironment":
        """Werkzeug leaves out headers with an underscore; the refresh of a token needs one."""
        environ = super().make_environ()
        if "client_id" in self.headers:
            environ["HTTP_CLIENT_ID"] = self.headers["client_id"]
        return environ

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The counters of the sandbox's page say what was called."""


def main() -> int:
    """Serve until told to end; the exit code."""
    options = _options()
    try:
        listening = socket.create_server((options.host, options.port))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        print(f"The Nexudus sandbox cannot listen on {options.host}:{options.port}: {reason}.", file=sys.stderr)
        return 1
    app = create_sandbox(
        options.data_dir / "nexudus-sandbox.db",
        profile=options.profile,
        limits=options.limits or ("off" if options.demo else "documented"),
        demo=options.demo,
    )
    here = app.extensions[EXTENSION]
    server = make_server(
        options.host,
        options.port,
        app,
        threaded=True,
        request_handler=_QuietHandler,
        fd=listening.fileno(),
    )

    def end(*_: object) -> None:
        here.stopping.set()
        # From a thread of its own: shutdown waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    print(f"Nexudus sandbox at http://{options.host}:{options.port}, sign in as {EMAIL} / {PASSWORD}", flush=True)
    server.serve_forever(poll_interval=0.1)
    here.store.close()
    return 0


def _options() -> argparse.Namespace:
    # The sandbox is a program of its own and shares no settings with the product, but for where data is kept.
    data_dir = os.environ.get("SPHEREMAIL_DATA_DIR") or "var"  # noqa: TID251
    parser = argparse.ArgumentParser(prog="python -m plugins.nexudus.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8400)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--data-dir", type=Path, default=Path(data_dir), help="where its records are kept")
    parser.add_argument("--profile", choices=PROFILES, default="current")
    parser.add_argument("--limits", choices=("documented", "off"), help="default: documented, with --demo off")
    parser.add_argument("--demo", action="store_true", help="fill an empty sandbox with people")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import pytest

from plugins.nexudus.sandbox import webhooks
from tests.plugins.nexudus.sandbox.conftest import INVOICES, Program

HOOKS = "/api/sys/webhooks"
PAID, CREATED = 21, 3

Delivery = tuple[str, bytes]


class Listener(BaseHTTPRequestHandler):
    """Takes deliveries and keeps them."""

    heard: "Queue[Delivery]"
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.put((self.headers[webhooks.SIGNATURE], body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def listener() -> Iterator[tuple[str, "Queue[Delivery]"]]:
    heard: Queue[Delivery] = Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Heard", (Listener,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", heard
    server.shutdown()
    thread.join()
    server.server_close()


def hook(program: Program, url: str, action: int = PAID) -> int:
    record = {"BusinessId": program.business["Id"], "Name": "ours", "Action": action, "URL": url, "Active": True}
    return program.created(program.post(HOOKS, **record))


def test_a_change_is_told_signed_in_upper_case(program: Program, listener: tuple[str, "Queue[Delivery]"]) -> None:
    url, heard = listener
    hook(program, url)
    invoice = program.invoice_sales(program.sale(program.member()))
    program.run(INVOICES, "PAY_COWORKER_INVOICE_MANUAL", invoice["Id"])
    signature, body = heard.get(timeout=10)
    assert signature == webhooks.signature(body) == signature.upper()
    (record,) = json.loads(body)
    assert (record["Id"], record["CoworkerId"]) == (invoice["Id"], invoice["CoworkerId"])


def test_a_refused_change_is_not_told(program: Program, listener: tuple[str, "Queue[Delivery]"]) -> None:
    url, heard = listener
    hook(program, url, CREATED)
    program.post("/api/spaces/coworkers", FullName="x")
    program.member()
    assert json.loads(heard.get(timeout=10)[1])[0]["FullName"] == "Ada Example"
    assert heard.empty()


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:9/", True),
        ("http://[::1]:9/", True),
        ("http://localhost/", True),
        ("http://example.org/", False),
        ("http://10.0.0.1/", False),
        ("ftp://127.0.0.1/", False),
        ("not an address", False),
    ],
)
def test_only_this_machine_is_told(url: str, is_here: bool) -> None:
    assert webhooks.is_here(url) is is_here


def test_a_hook_that_leads_elsewhere_fails_and_is_switched_off_after_ten(program: Program) -> None:
    hook_id = hook(program, "https://elsewhere.example/", CREATED)
    with program.adapter.app.app_context():
        for _ in range(10):
            webhooks.tell(program.space, [(program.space.need("WebHook", hook_id), {"Id": 1})])
    told = program.read(HOOKS, hook_id)
    assert (told["ErrorCount"], told["Active"]) == (10, False)
    assert "this machine" in told["LastError"]

"""What a person can look at: mails that were sent, mailboxes, and a form to write as a customer. No JavaScript."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses, parseaddr
from typing import Any, TypeVar

from babel.dates import format_datetime
from flask import Blueprint, Flask, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from plugins.mail_monitor.sandbox import seed, writing
from plugins.mail_monitor.sandbox.inventions import INVENTIONS
from plugins.mail_monitor.sandbox.mailboxes import FOLDERS, Mailboxes
from plugins.mail_monitor.sandbox.store import Kept, Place, Sent, Store

PAGE_SIZE = 50
WAIT_S = 20
LONGEST_SHOWN = 100_000

SAID = {
    "delivered": "Delivered. The next scan of that mailbox finds it.",
    "returned": "Returned as undeliverable to whoever sent it.",
    "reset": "Everything is as on the first day.",
    "deleted": "Deleted, as if a colleague had done it.",
}

pages = Blueprint("pages", __name__)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Here:
    """What the pages work with: the store, the mailboxes with the loop they live in, and where the servers listen."""

    store: Store
    mailboxes: Mailboxes
    loop: asyncio.AbstractEventLoop
    imap_port: int
    smtp_port: int

    def do(self, deed: Coroutine[Any, Any, Answer]) -> Answer:
        """Do something to the mailboxes, in the loop they live in."""
        return asyncio.run_coroutine_threadsafe(deed, self.loop).result(WAIT_S)


def create_pages(here: Here) -> Flask:
    """The app with all pages."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 30 * 1024 * 1024
    app.config["MAX_FORM_MEMORY_SIZE"] = 2 * 1024 * 1024
    app.extensions["here"] = here
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(pages)
    return app


def _here() -> Here:
    here: Here = current_app.extensions["here"]
    return here


@pages.before_app_request
def refuse_other_sites() -> None:
    """A page on another site may not press buttons here; programs send no such header."""
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "none") in ("cross-site", "same-site"):
        abort(403)


@pages.after_app_request
def add_policy(response: Response) -> Response:
    """Nothing from elsewhere, no script at all: what these pages show was written by strangers."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@pages.app_errorhandler(404)
def say_not_there(error: Exception) -> tuple[str, int]:
    return render_template("mail_sandbox/error.html"), 404


@pages.app_template_filter("moment")
def moment(at: datetime) -> str:
    return format_datetime(at, "d MMM y, HH:mm 'UTC'", locale="en_GB")


@pages.app_context_processor
def shared() -> dict[str, Any]:
    """What every page shows."""
    return {"said": SAID.get(request.args.get("said", "")), "mailboxes": _here().mailboxes.names}


@pages.get("/")
def show_sent() -> str:
    """Mails that were handed in, the newest first."""
    wanted = request.args.get("q", "").strip().casefold()
    rows = [(one, read(one.raw)) for one in _here().store.sent()]
    rows = [(one, letter) for one, letter in rows if not wanted or wanted in _searched(one, letter)]
    page, last = _page(len(rows))
    start = (page - 1) * PAGE_SIZE
    return render_template(
        "mail_sandbox/sent.html", rows=rows[start : start + PAGE_SIZE], total=len(rows), page=page, last=last, q=wanted
    )


def _searched(one: Sent, letter: EmailMessage) -> str:
    return " ".join((one.sender, *one.recipients, str(letter["Subject"] or ""), str(letter["From"] or ""))).casefold()


def _page(total: int) -> tuple[int, int]:
    last = max(1, -(-total // PAGE_SIZE))
    return min(max(request.args.get("page", 1, type=int), 1), last), last


@pages.get("/sent/<int:number>")
def show_mail(number: int) -> str:
    """One mail, and what its recipient could do with it."""
    one = _sent(number)
    return render_template("mail_sandbox/mail.html", mail=one, returns_to=_returns_to(one), **_shown(one.raw))


@pages.get("/sent/<int:number>.eml")
def download_mail(number: int) -> Response:
    return _original(_sent(number).raw, f"sent-{number}.eml")


@pages.post("/sent/<int:number>/return")
def return_mail(number: int) -> AnyResponse:
    """Send it back as a mail server would that knows nobody by this name."""
    one = _sent(number)
    mailbox = _returns_to(one)
    if mailbox is None:
        abort(404)  # the page of such a mail offers no return
    _here().do(_here().mailboxes.deliver(mailbox, writing.undeliverable(one, mailbox)))
    return redirect(url_for(".show_mail", number=number, said="returned"), 303)


def _returns_to(one: Sent) -> str | None:
    """The mailbox that a mail would come back to.

    The envelope's sender, as the standard says; where that is no mailbox here, the address it came from.
    """
    reached = [one.sender.lower(), parseaddr(str(read(one.raw)["From"] or ""))[1].lower()]
    return next((name for name in reached if name in _here().mailboxes.names), None) if one.recipients else None


def _sent(number: int) -> Sent:
    return next((one for one in _here().store.sent() if one.id == number), None) or abort(404)


@pages.get("/mailboxes")
def show_mailboxes() -> AnyResponse:
    return redirect(url_for(".show_folder", mailbox=_here().mailboxes.names[0], folder=FOLDERS[0]))


@pages.get("/mailboxes/<mailbox>/<path:folder>")
def show_folder(mailbox: str, folder: str) -> str:
    """What lies in a folder, the newest first."""
    place = _place(mailbox, folder)
    rows = [(one, read(one.raw)) for one in reversed(_here().store.letters(place))]
    page, last = _page(len(rows))
    start = (page - 1) * PAGE_SIZE
    return render_template(
        "mail_sandbox/folder.html",
        place=place,
        folders=_here().store.folders(mailbox),
        rows=rows[start : start + PAGE_SIZE],
        total=len(rows),
        page=page,
        last=last,
    )


@pages.get("/letters/<mailbox>/<int:uid>/<path:folder>")
def show_letter(mailbox: str, uid: int, folder: str) -> str:
    """One letter of a mailbox."""
    place = _place(mailbox, folder)
    one = _letter(place, uid)
    return render_template("mail_sandbox/letter.html", place=place, letter=one, **_shown(one.raw))


@pages.get("/originals/<mailbox>/<int:uid>/<path:folder>")
def download_letter(mailbox: str, uid: int, folder: str) -> Response:
    return _original(_letter(_place(mailbox, folder), uid).raw, f"letter-{uid}.eml")


@pages.post("/letters/<mailbox>/<int:uid>/<path:folder>")
def delete_letter(mailbox: str, uid: int, folder: str) -> AnyResponse:
    """Take a letter away, as a colleague would from another program."""
    place = _place(mailbox, folder)
    _letter(place, uid)
    _here().do(_here().mailboxes.remove(mailbox, folder, uid))
    return redirect(url_for(".show_folder", mailbox=mailbox, folder=folder, said="deleted"), 303)


def _place(mailbox: str, folder: str) -> Place:
    if mailbox not in _here().mailboxes.names or folder not in _here().store.folders(mailbox):
        abort(404)
    return Place(mailbox, folder)


def _letter(place: Place, uid: int) -> Kept:
    return _here().store.letter(place, uid) or abort(404)


@pages.get("/write")
def show_form() -> str:
    """An empty form, or one that answers a sent mail."""
    answered = _here().store.sent()
    number = request.args.get("answers", type=int)
    one = next((each for each in answered if each.id == number), None)
    draft = writing.answer_to(one, _here().mailboxes.names) if one else writing.Draft()
    return render_template("mail_sandbox/write.html", draft=draft, wrong={})


@pages.post("/write")
def write() -> AnyResponse | tuple[str, int]:
    """Deliver what was typed as if it had come over the internet."""
    files = [(str(one.filename), one.read(), one.mimetype) for one in request.files.getlist("files") if one.filename]
    draft = writing.Draft.of(request.form, files)
    wrong = draft.problems(_here().mailboxes.names)
    if wrong:
        return render_template("mail_sandbox/write.html", draft=draft, wrong=wrong), 422
    _here().do(_here().mailboxes.deliver(draft.to, writing.letter(draft)))
    return redirect(url_for(".show_folder", mailbox=draft.to, folder="INBOX", said="delivered"), 303)


@pages.get("/sandbox")
def show_sandbox() -> str:
    """How to sign in, what is made up, and the way back to the first day."""
    return render_template(
        "mail_sandbox/sandbox.html", here=_here(), password=seed.PASSWORD, inventions=INVENTIONS, folders=FOLDERS
    )


@pages.post("/sandbox/reset")
def reset() -> AnyResponse:
    """Forget every mail and deliver the demo's letters anew; all folders get another UIDVALIDITY."""
    _here().do(_reset(_here()))
    return redirect(url_for(".show_sandbox", said="reset"), 303)


async def _reset(here: Here) -> None:
    here.store.clear()
    here.mailboxes.open()
    await seed.fill(here.mailboxes)


def read(raw: bytes) -> EmailMessage:
    """A letter as these pages show it; `EmailMessage` reads whatever it is given."""
    return message_from_bytes(raw, policy=policy.default.clone(raise_on_defect=False))


def _shown(raw: bytes) -> dict[str, Any]:
    """Header lines, text, attachments and source of a letter."""
    letter = read(raw)
    lines = [(name, value) for name in ("From", "To", "Cc", "Reply-To", "Date") if (value := _header(letter, name))]
    files = [
        (part.get_filename() or "without a name", part.get_content_type(), len(part.get_payload(decode=True) or b""))
        for part in letter.walk()
        if part.get_content_disposition() == "attachment" or part.get_filename()
    ]
    return {
        "subject": _header(letter, "Subject") or "(no subject)",
        "lines": lines,
        "text": _text_of(letter),
        "files": files,
        "source": raw[:LONGEST_SHOWN].decode("utf-8", errors="replace"),
        "is_cut": len(raw) > LONGEST_SHOWN,
    }


def _header(letter: EmailMessage, name: str) -> str:
    return str(letter[name] or "")


def _text_of(letter: EmailMessage) -> str:
    part = letter.get_body(("plain",))
    if part is None:
        return ""
    data = part.get_payload(decode=True)
    charset = part.get_content_charset() or "utf-8"
    if not isinstance(data, bytes):
        return ""
    try:
        return data.decode(charset, errors="replace")
    except LookupError:
        return data.decode("utf-8", errors="replace")


def _original(raw: bytes, name: str) -> Response:
    response = Response(raw, mimetype="message/rfc822")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@pages.app_template_filter("people")
def people(value: object) -> str:
    """Names of a From or To line, addresses where there are none."""
    return ", ".join(name or address for name, address in getaddresses([str(value or "")]))

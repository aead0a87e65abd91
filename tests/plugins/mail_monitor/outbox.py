"""What tests of sending need: an email account whose outgoing server is on loopback, and a form that is filled."""

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import sqlalchemy as sa

from app.db import db
from plugins.mail_monitor.sending_models import Outgoing
from tests.mail_services import Post
from tests.visitors import Visitor

AT = "/acme/mail"


def fields_of(page: str) -> dict[str, str]:
    """What a browser would send back for the form on a page."""
    form = page[page.index('id="compose"') :]
    found = {
        name: value
        for tag in re.findall(r"<input[^>]*>", form)
        if (name := _attribute(tag, "name")) and name != "files"
        for value in [_attribute(tag, "value")]
        if 'type="checkbox"' not in tag or "checked" in tag
    }
    found["text"] = re.sub(r"^\r?\n", "", re.findall(r"<textarea[^>]*>(.*?)</textarea>", form, re.DOTALL)[0])
    for select in re.findall(r"<select.*?</select>", form, re.DOTALL):
        chosen = re.search(r'<option selected value="([^"]*)"', select) or re.search(r'value="([^"]*)"', select)
        assert chosen is not None
        found[_attribute(select, "name")] = chosen[1]
    return {name: _plain(value) for name, value in found.items()}


def write(visitor: Visitor, address: str, **typed: Any) -> tuple[int, str]:
    """Open a compose page, fill it and press "Send"; answers the status and where it leads."""
    page = visitor.get(f"{AT}{address}")
    assert page.status_code == 200, page.text
    values = {**fields_of(page.text), "text": "It is on its way.", **typed}
    answer = visitor.post(f"{AT}/drafts/send", data=values, content_type="multipart/form-data")
    return answer.status_code, answer.location or answer.text


def the_mail() -> Outgoing:
    """The one mail that was written."""
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(sa.select(Outgoing)).one()


def taken(post: Post, number: int = 0) -> EmailMessage:
    """A mail as the outgoing server got it."""
    content = post.taken[number].original_content
    assert content is not None
    mail = message_from_bytes(content, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return found[1] if found else ""


def _plain(value: str) -> str:
    for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&#34;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        value = value.replace(entity, letter)
    return value

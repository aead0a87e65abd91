"""Two people at one form: the second is told what the first changed, instead of undoing it unseen.

A form carries a mark of every value it was drawn with. Whoever saves compares these marks with what is stored by then:
where it differs nothing is saved, the fields left alone take over what came meanwhile, and those that were typed into
keep what was typed and say what stands there now. Saving again then means it.
"""

import json
from collections.abc import Mapping
from datetime import date
from hashlib import blake2s
from typing import Any

from flask_wtf import FlaskForm
from wtforms import Field, FieldList, HiddenField, SelectField

from app import audit
from app.errors import Conflict
from app.formats import day, on_moment

LONGEST_VALUE = 80


class SharedForm(FlaskForm):
    """A form for something that is there already, and that others may change while it is open."""

    drawn_from = HiddenField()

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.meanwhile: list[str] = []  # what the fields left alone have taken over, for the page
        if not self.is_submitted():
            self._remember(self.data)

    def refuse_if_changed(self, stored: Mapping[str, Any], about: object, *actions: str) -> None:
        """Raise `Conflict` when `stored`, what the form would be drawn with now, is not what it was drawn with.

        Call it with the row `about` locked; `actions` are the audit's words for its changes, without which nobody is
        named. A form without marks was drawn by no page of ours, and is not compared.
        """
        before = self._marks_sent()
        changed = [
            name
            for name, value in stored.items()
            if name in before and before[name] != _mark(value) != _mark(self[name].data)
        ]
        if not changed:
            return
        for name in changed:
            field, now = self[name], _words(self[name], stored[name])
            if _mark(field.data) == before[name]:
                _take_over(field, stored[name])
                self.meanwhile.append(f"{field.label.text} is now {now}.")
            elif isinstance(field, FieldList):
                self.meanwhile.append(f"{field.label.text} became {now}. Save again to put yours in their place.")
            else:
                field.errors = [*field.errors, f"Meanwhile it became {now}. Save again to put yours in its place."]
        self._remember({**self.data, **stored})
        raise Conflict(f"{_who(about, actions)} while you had it open. Nothing is saved yet: look again, then save.")

    def _remember(self, values: Mapping[str, Any]) -> None:
        marks = {name: _mark(value) for name, value in values.items() if name not in {"csrf_token", "drawn_from"}}
        self.drawn_from.data = json.dumps(marks)

    def _marks_sent(self) -> dict[str, str]:
        try:
            sent = json.loads(self.drawn_from.data or "{}")
        except (ValueError, RecursionError):  # no page of ours sends that
            return {}
        return sent if isinstance(sent, dict) else {}


def _who(about: object, actions: tuple[str, ...]) -> str:
    last = audit.latest_of(about, actions) if actions else None
    if last is None:
        return "This was changed"
    if last.actor == audit.current_actor():
        return f"You changed this in another window {on_moment(last.at)},"
    return f"{last.actor} changed this {on_moment(last.at)},"


def _mark(value: object) -> str:
    return blake2s(json.dumps(_plain(value)).encode(), digest_size=8).hexdigest()


def _plain(value: object) -> object:
    """The same whether it comes out of the database or back from a browser."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return "" if value is None else str(value).replace("\r\n", "\n")


def _take_over(field: Field, value: object) -> None:
    if isinstance(field, FieldList) and isinstance(value, list):
        while field.entries:
            field.pop_entry()
        for one in value:
            field.append_entry(one)
    else:
        field.raw_data = None
        field.process(None, value)


def _row(field: "FieldList[Any]", values: Mapping[str, Any]) -> str:
    """One of several entries, as what stands in its own fields."""
    labels = (
        {part.name.rpartition("-")[2]: part.label.text.lower() for part in field.entries[0]} if field.entries else {}
    )
    first, *rest = [f"{labels.get(name, name)} {value}" for name, value in values.items() if value] or ["nothing"]
    return f"{first} ({', '.join(rest)})" if rest else first


def _words(field: Field, value: object) -> str:
    """A stored value in words, as the field would show it."""
    if isinstance(field, FieldList) and isinstance(value, list):
        return "; ".join(_row(field, one) for one in value)
    if isinstance(field, SelectField):
        value = next((label for key, label, *_ in field.iter_choices() if str(key) == str(value)), value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, date):
        return day(value)
    text = "" if value is None else str(value)
    return f"“{text[:LONGEST_VALUE]}{'…' if len(text) > LONGEST_VALUE else ''}”" if text else "empty"

"""The calls that every kind of record answers alike: list, read, create, update, delete, commands.

https://developers.nexudus.com/rest-api: one page per kind; what they share is told under "conventions" there.
"""

import json
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, g, request

from plugins.nexudus.sandbox import commands, filters, rules
from plugins.nexudus.sandbox.auth import demand
from plugins.nexudus.sandbox.replies import (
    Refusal,
    complaint,
    json_reply,
    mutation,
    not_found,
    refused,
    server_error,
    text_reply,
)
from plugins.nexudus.sandbox.schema import BY_PATH, MOST_DIGITS, Entity, Field
from plugins.nexudus.sandbox.space import space
from plugins.nexudus.sandbox.store import Record, dumped

pages = Blueprint("rest", __name__, url_prefix="/api")

ADDRESS = "/<module>/<plural>"
NEEDED_FILTERS = {"Charge": "Charge_Business"}  # seen to be refused without, documented nowhere


@pages.get(ADDRESS, strict_slashes=False)
def show_list(module: str, plural: str) -> Response:
    here, entity = space(), _entity(module, plural, "list")
    demand(entity.name, "List")
    ids = filters.ids_of(request.args)
    if ids is not None:
        rows = [one for one in filters.visible(here, entity, g.user) if one["Id"] in ids]
        return json_reply([here.shown(entity, one, entity.in_lists) for one in rows])
    _demand_filter(entity)
    args = request.args.copy()
    if entity.name == "BusinessSetting":  # was seen to ignore every filter
        args = type(args)((name, value) for name, value in args.items() if name.lower() in ("page", "size"))
    rows = filters.found(here, entity, args, user=g.user)
    page = filters.envelope(rows, request.args, request.args.get("orderby") or "Id")
    page["Records"] = [here.shown(entity, one, entity.in_lists) for one in page["Records"]]
    return json_reply(page)


def _demand_filter(entity: Entity) -> None:
    needed = entity.needs or NEEDED_FILTERS.get(entity.name)
    if needed is None or {"id", needed.lower()} & {name.lower() for name in request.args}:
        return
    if entity.name == "CoworkerInvoiceHistory":
        raise Refusal(server_error())
    raise Refusal(text_reply(f"Missing required filter: {needed}", 400))


@pages.get(f"{ADDRESS}/<int:record_id>")
def show_record(module: str, plural: str, record_id: int) -> Response:
    entity = _entity(module, plural, "read")
    demand(entity.name, "Read")
    record = space().get(entity.name, record_id)
    if record is None or (entity.name == "Business" and record_id not in g.user["Businesses"]):
        return not_found()
    return json_reply(space().shown(entity, record))


@pages.post(ADDRESS, strict_slashes=False)
def create_record(module: str, plural: str) -> Response:
    entity = _entity(module, plural, "create")
    demand(entity.name, "Create")
    values = _checked(entity, _body(), None)
    rules.before_create(space(), entity, values)
    record = space().create(entity.name, values)
    rules.after_create(space(), entity, record)
    return _written(record, f"{entity.name} created")


@pages.put(ADDRESS, strict_slashes=False)
def update_record(module: str, plural: str) -> Response:
    """The whole record: what is left out is cleared, and what must be there must be there again."""
    entity = _entity(module, plural, "update")
    demand(entity.name, "Edit")
    body = _body()
    record_id = body.get("Id")
    before = space().get(entity.name, record_id) if isinstance(record_id, int) else None
    if before is None:
        return not_found()
    values = _checked(entity, body, before)
    rules.before_update(space(), entity, before, values)
    record = space().save(entity.name, before | values)
    rules.after_update(space(), entity, before, record)
    return _written(record, f"{entity.name} updated")


@pages.delete(f"{ADDRESS}/<int:record_id>")
def delete_record(module: str, plural: str, record_id: int) -> Response:
    entity = _entity(module, plural, "delete")
    demand(entity.name, "Delete")
    record = space().get(entity.name, record_id)
    if record is None:
        return not_found()
    rules.before_delete(space(), entity, record)
    space().store.drop(entity.name, record_id)
    return mutation(None, f"{entity.name} deleted")


@pages.get(f"{ADDRESS}/commands")
def show_commands(module: str, plural: str) -> Response:
    """What a kind of record can do. COWORKER_PRODUCT_INVOICE works and is not listed, as seen."""
    entity = _entity(module, plural, "list")
    listed = [key for key in entity.commands if key != "COWORKER_PRODUCT_INVOICE"]
    return json_reply([commands.described(key, order) for order, key in enumerate(listed)])


@pages.post(f"{ADDRESS}/runcommand")
def run_command(module: str, plural: str) -> Response:
    entity = _entity(module, plural, "list")
    demand(entity.name, "Edit")
    return commands.run(space(), entity, _body())


@pages.get("/utils/enums")
def show_enum() -> Response:
    names = rules.ENUMS.get(request.args.get("name", ""))
    if names is None:
        return not_found()
    return json_reply([{"Id": number, "Name": name} for number, name in names.items()])


def _entity(module: str, plural: str, operation: str) -> Entity:
    entity = BY_PATH.get(f"/api/{module}/{plural}")
    if entity is None:
        raise Refusal(not_found())
    classic = operation == "create" and space().profile == "classic-2020"
    if operation not in entity.operations and not (
        classic and entity.name in ("CoworkerInvoice", "CoworkerInvoiceLine")
    ):
        message = f"The requested resource does not support http method '{request.method}'."
        raise Refusal(json_reply({"Message": message}, 405))
    return entity


def _body() -> Record:
    """The JSON object that was sent, numbers exact."""
    if request.mimetype != "application/json":
        raise Refusal(json_reply({"Message": f"The media type '{request.mimetype}' is not supported."}, 415))
    try:
        body = json.loads(request.get_data(), parse_float=_number, parse_constant=_no_number)
        dumped(body).encode()  # half a character, as in "\ud800", can be read but never be written
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refusal(refused("The request is invalid."))
    return body


def _number(digits: str) -> Decimal:
    number = Decimal(digits)
    if abs(number.adjusted()) > MOST_DIGITS:
        raise ValueError("a number out of all bounds")
    return number


def _no_number(word: str) -> Decimal:
    raise ValueError(f"{word} is no number")


def _checked(entity: Entity, body: Record, before: Record | None) -> Record:
    """What of `body` is to be written, each field in its type; refuses with one complaint per field."""
    by_lower = {name.lower(): value for name, value in body.items()}
    values: Record = {}
    wrong: list[Record] = []
    for name, field in entity.fields.items():
        if not entity.may_write(field):
            continue
        given = by_lower.get(name.lower())
        if before is None and given is None and not field.required:
            continue
        problem = _problem(entity, field, given, values)
        if problem:
            wrong.append(complaint(field.name.removesuffix("Id") if field.points_to else name, problem, given))
    if wrong:
        first = wrong[0]
        raise Refusal(refused(f"{first['PropertyName']}: {first['Message']}", wrong))
    if before is not None:
        # A date that the server sets itself is not cleared by a body that does not mention it.
        values = {name: value for name, value in values.items() if value is not None or name != "CreatedOn"}
    return values


def _problem(entity: Entity, field: Field, given: Any, values: Record) -> str:
    """What is wrong with a value, or "" after it was put into `values`."""
    if given is None and field.required:
        return "may not be null or empty"
    try:
        value = field.converted(given)
    except ValueError as error:
        return str(error)
    if field.required and isinstance(value, str) and not value.strip():
        return "may not be null or empty"
    if value is not None and field.points_to in rules.KNOWN and space().get(field.points_to, value) is None:
        return "is a required field"
    values[field.name] = value
    return ""


def _written(record: Record, message: str) -> Response:
    return mutation({"Id": record["Id"]}, message, updated_on=record["UpdatedOn"], updated_by=record["UpdatedBy"])

"""A plugin for the host's own tests: it uses every place that the contract offers and does nothing real."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint
from markupsafe import Markup

from app import clock
from app.access import OFFICE, OPERATORS, Role, allow
from app.charts import Bar, BarChart, Chart, Series
from app.events import CustomerActivated, CustomerChanged
from app.installations.models import Installation, InstallationState
from app.plugin import Column, Coming, MenuEntry, Moment, Panel, Plugin, Problem, State, TimelinePart

pages = Blueprint("example", __name__)


@pages.get("/")
@allow(OFFICE)
def things() -> str:
    return "Things"


@pages.get("/connect")
@allow(OPERATORS)
def connect() -> str:
    return "Connect here"


def greet(installation_id: int, customer_id: int) -> None:
    """Hears of a new customer; the tests only look whether it was rung."""


def state(installation: Installation) -> State:
    if installation.state == InstallationState.ATTENTION:
        return State("attention", installation.problem)
    if installation.works:
        return State("connected", "3 of 5 things are fine.")
    return State("not_set_up", "Nothing is connected yet.")


def draw(installation: Installation, row: Any) -> str:
    if getattr(row, "full_name", "") == "Breaks The Panel":
        raise RuntimeError("the plugin has a fault")
    return Markup("<section>Example says hello to {} {}</section>").format(type(row).__name__, row.id)


def cells(installation: Installation, ids: Sequence[int]) -> dict[int, Markup]:
    if installation.problem == "breaks the list":
        raise RuntimeError("the plugin has a fault")
    return {one: Markup("thing {}").format(one) for one in ids}


def counted(installation: Installation) -> tuple[int, str]:
    if installation.problem == "breaks the list":
        raise RuntimeError("the plugin has a fault")
    return 3, "ask"


def problems(installation: Installation) -> list[Problem]:
    if installation.problem == "breaks the list":
        raise RuntimeError("the plugin has a fault")
    if not installation.problem:
        return []
    return [
        Problem("thing", "ask", 2, "Things wait", "Two of them.", "Look at them", "example.things", amount="€12.30"),
        Problem("key", "stop", 1, "A key is missing", "Bring it.", "Connect", "example.connect", roles=OPERATORS),
    ]


def coming(installation: Installation) -> list[Coming]:
    return [
        Coming(clock.now() + timedelta(hours=1), "Example works", "3 things", "All of them", "Things", "example.things")
    ]


def charts(installation: Installation) -> list[Chart]:
    if installation.problem == "breaks the list":
        raise RuntimeError("the plugin has a fault")
    return [BarChart("Things sorted", (Series("all", "all", "there"),), [Bar("Nov", {"all": 3})])]


broken = False


def moments(installation: Installation, customer: Any, until: datetime, most: int) -> list[Moment]:
    if broken:
        raise RuntimeError("the plugin has a fault")
    return [Moment(customer.signed_up_at, f"A thing for {customer.full_name}")]


plugin = Plugin(
    name="example",
    path="example",
    title="Example",
    summary="Shows what plugins can do.",
    pages=pages,
    state=state,
    connect=".connect",
    menu=(MenuEntry("Things", ".things", frozenset({Role.OPERATOR, Role.ADMIN}), count=counted),),
    panels=(Panel("customer", draw), Panel("invoice", draw), Panel("systems", draw)),
    columns=(Column("customers", "Example", cells), Column("invoices", "Example", cells)),
    problems=problems,
    coming=coming,
    charts=charts,
    timeline=(TimelinePart("things", "Things", moments),),
    hears={CustomerActivated: greet, CustomerChanged: greet},
    before_switching_off=lambda installation: "Example forgets its sign-in." if installation.works else "",
)

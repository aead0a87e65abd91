"""Links customers to Nexudus members and hands their invoices over."""

from app.access import OFFICE
from app.events import CustomerActivated
from app.plugin import Column, DueRows, MenuEntry, Panel, Plugin, TimelinePart
from plugins.nexudus import (
    cli,
    connecting,
    export_panels,
    export_routes,
    figures,
    hook_routes,
    jobs,
    outlook,
    panels,
    reconciliation_routes,
    routes,
    timeline,
    troubles,
)
from plugins.nexudus.models import Connection
from plugins.nexudus.pages import pages

plugin = Plugin(
    name="nexudus",
    path="nexudus",
    title="Nexudus",
    summary="Links customers to Nexudus members and hands their invoices over.",
    pages=pages,
    hooks=hook_routes.addresses,
    state=connecting.state_of,
    connect=".connect",
    menu=(
        MenuEntry("Members", ".members", OFFICE, panels.choices_waiting),
        MenuEntry("Exports", ".exports", OFFICE, export_panels.held_waiting),
    ),
    panels=(
        Panel("systems", panels.systems_panel),
        Panel("customer", panels.member_panel),
        Panel("invoice", export_panels.draw_invoice_panel),
    ),
    columns=(
        Column("customers", "Nexudus", panels.customer_cells),
        Column("invoices", "Nexudus", export_panels.invoice_cells),
    ),
    problems=troubles.problems_of,
    coming=outlook.coming,
    charts=outlook.charts,
    timeline=(TimelinePart("links", "Links", timeline.moments),),
    gauges=figures.gauges,
    prune=figures.prune,
    hears={CustomerActivated: jobs.link_customer},
    due=(
        DueRows(
            Connection, jobs.work_on_connection, panels.describe_connection, "Link customers and hand invoices over"
        ),
    ),
    queue="nexudus",
    commands=cli.commands,
    switched_off=connecting.switched_off,
    before_switching_off=panels.before_switching_off,
)

__all__ = ["export_routes", "plugin", "reconciliation_routes", "routes"]

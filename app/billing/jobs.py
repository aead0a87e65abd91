"""Background work of customers: activations and cancellations that were planned for a day."""

import sqlalchemy as sa
import structlog

from app.billing import life
from app.billing.life_models import PlannedMove
from app.billing.models import Customer
from app.db import db, unit_of_work

log = structlog.get_logger()


def make_planned_move(move_id: int) -> None:
    """Make a planned move whose day has come. Its row goes with it, so a second ring finds nothing to do."""
    customer_id = db.session.scalar(sa.select(PlannedMove.customer_id).where(PlannedMove.id == move_id))
    if customer_id is None:
        return
    with unit_of_work() as session:
        customer = session.get_one(Customer, customer_id, with_for_update=True, populate_existing=True)
        move = session.get(PlannedMove, move_id, populate_existing=True)
        made = move is not None and life.carry_out(customer, move)
    log.info("planned_move", customer_id=customer_id, made=made)

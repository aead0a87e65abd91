"""What the plugin adds to a customer's timeline: the messages in the record."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import url_for

from app.billing.models import Customer
from app.db import db
from app.installations.models import Installation
from app.plugin import Moment
from plugins.mail_monitor.records import Direction, Filing, How, Message
from plugins.mail_monitor.sending_models import Outgoing, OutgoingState

OF_STATE = {
    OutgoingState.WAITING: "On its way",
    OutgoingState.UNKNOWN: "May have been sent",
    OutgoingState.FAILED: "Not sent",
}


def moments(installation: Installation, customer: Customer, until: datetime, most: int) -> Sequence[Moment]:
    """Messages of a customer, newest first; what the host itself sent stands there already."""
    query = (
        sa.select(
            *(Filing.received_at, Filing.thread_id, Filing.message_id, Filing.reason),
            *(Message.subject, Message.direction, Outgoing.state, Outgoing.returned),
        )
        .join(Message, Message.id == Filing.message_id)
        .outerjoin(Outgoing, Outgoing.record_id == Message.id)
        .where(
            *(Filing.customer_id == customer.id, Filing.thread_id.is_not(None), Filing.how != How.HOST),
            Filing.received_at <= until,
        )
        .order_by(Filing.received_at.desc(), Filing.id.desc())
        .limit(most)
    )
    return [
        Moment(
            row.received_at,
            row.subject or "(no subject)",
            f"{_became(row)}. {row.reason}".rstrip(". ") + ".",
            "envelope" if row.direction == Direction.INCOMING else "send",
            "stop" if row.returned or row.state == OutgoingState.FAILED else "ink",
            url=url_for(
                "billing.customer_tab",
                customer_id=customer.id,
                plugin_path="mail",
                name="crm",
                thread=row.thread_id,
                message=row.message_id,
            ),
        )
        for row in db.session.execute(query)
    ]


def _became(row: Any) -> str:
    """What became of a message, in a word or two."""
    if row.direction == Direction.INCOMING:
        return "Received"
    if row.returned:
        return "Not delivered"
    return OF_STATE.get(row.state, "Sent")

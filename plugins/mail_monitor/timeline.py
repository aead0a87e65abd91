"""What the plugin adds to a customer's timeline: the messages in the record."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from flask import url_for

from app.billing.models import Customer
from app.db import db
from app.installations.models import Installation
from app.plugin import Moment
from plugins.mail_monitor.records import Direction, Filing, How, Message


def moments(installation: Installation, customer: Customer, until: datetime, most: int) -> Sequence[Moment]:
    """Messages of a customer, newest first."""
    query = (
        sa.select(
            *(Filing.received_at, Filing.thread_id, Filing.message_id, Filing.reason),
            *(Message.subject, Message.direction),
        )
        .join(Message, Message.id == Filing.message_id)
        .where(
            Filing.customer_id == customer.id,
            Filing.thread_id.is_not(None),
            Filing.how != How.HOST,  # the host tells of its own mails itself
            Filing.received_at <= until,
        )
        .order_by(Filing.received_at.desc(), Filing.id.desc())
        .limit(most)
    )
    return [
        Moment(
            at,
            subject or "(no subject)",
            f"{'Received' if direction == Direction.INCOMING else 'Sent'}. {reason}".rstrip(". ") + ".",
            "envelope" if direction == Direction.INCOMING else "send",
            "ink",
            url=url_for(
                "billing.customer_tab",
                customer_id=customer.id,
                plugin_path="mail",
                name="crm",
                thread=thread_id,
                message=message_id,
            ),
        )
        for at, thread_id, message_id, reason, subject, direction in db.session.execute(query)
    ]

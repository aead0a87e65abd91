"""host: what fails and what is in hand is found by an index, and so is the audit by outcome

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

LEASED = (
    "collection",
    "outgoing_mail",
    "payment_gateway",
    "refund",
    "saved_card",
    "mail_monitor_connection_test",
    "mail_monitor_email_account",
    "mail_monitor_message_search",
    "mail_monitor_outgoing",
    "nexudus_connection",
)
DUE = (
    *LEASED,
    "billing_info_request",
    "invoice_mail",
    "mail_monitor_notice",
    "mail_monitor_safe_copy",
    "payment_event",
    "planned_move",
    "sign_up",
    "subscription",
)


def upgrade() -> None:
    for table in DUE:
        op.create_index(f"ix_{table}_problem", table, ["problem"])
    for table in (*LEASED, "payer"):
        op.create_index(f"ix_{table}_lease_until", table, ["lease_until"])
    op.create_index("ix_audit_entry_account_id_outcome", "audit_entry", ["account_id", "outcome", "at"])


def downgrade() -> None:
    op.drop_index("ix_audit_entry_account_id_outcome", "audit_entry")
    for table in (*LEASED, "payer"):
        op.drop_index(f"ix_{table}_lease_until", table)
    for table in DUE:
        op.drop_index(f"ix_{table}_problem", table)

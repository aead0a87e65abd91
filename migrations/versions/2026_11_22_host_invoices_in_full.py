"""host: discounts, periods billed, statements and copies; what is known about an invoice's past

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("invoice") as table:
        table.add_column(sa.Column("discount_rate", sa.String(32)))
        table.add_column(sa.Column("discount_minor", sa.BigInteger, nullable=False, server_default="0"))
        table.add_column(sa.Column("copied_from_id", sa.Integer))
        table.add_column(sa.Column("subscription_id", sa.Integer))
        table.add_column(sa.Column("period_from", sa.Date))
        table.add_column(sa.Column("period_until", sa.Date))
        table.add_column(sa.Column("printed", sa.JSON))
        table.add_column(sa.Column("mailed_at", sa.DateTime(timezone=True)))
        table.create_foreign_key("fk_invoice_copied_from_id", "invoice", ["copied_from_id"], ["id"])
        table.create_index("ix_invoice_copied_from_id", ["copied_from_id"])
        table.create_foreign_key("fk_invoice_subscription_id", "subscription", ["subscription_id"], ["id"])
        table.create_unique_constraint("uq_invoice_subscription_id_period_from", ["subscription_id", "period_from"])
    with op.batch_alter_table("invoice_line") as table:
        table.add_column(sa.Column("discount_rate", sa.String(32)))
        table.add_column(sa.Column("discount_minor", sa.BigInteger, nullable=False, server_default="0"))
        table.add_column(sa.Column("share_minor", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "invoice_mail",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("invoice_id", sa.Integer, nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by", sa.String(320), nullable=False),
        sa.Column("outgoing_mail_id", sa.Integer),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("nudged_at", sa.DateTime(timezone=True)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("problem", sa.String(500), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_invoice_mail_account_id"),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.id"], name="fk_invoice_mail_invoice_id"),
        sa.ForeignKeyConstraint(["outgoing_mail_id"], ["outgoing_mail.id"], name="fk_invoice_mail_outgoing_mail_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invoice_mail"),
        sa.UniqueConstraint("outgoing_mail_id", name="uq_invoice_mail_outgoing_mail_id"),
    )
    op.create_index("ix_invoice_mail_invoice_id", "invoice_mail", ["invoice_id"])
    op.create_index("ix_invoice_mail_due_at", "invoice_mail", ["due_at"])
    with op.batch_alter_table("account") as table:
        table.add_column(sa.Column("mails_invoices", sa.Boolean, nullable=False, server_default=sa.true()))
        table.add_column(sa.Column("payment_days", sa.Integer, nullable=False, server_default="0"))
    op.create_index("ix_audit_entry_object_kind_object_id", "audit_entry", ["object_kind", "object_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_audit_entry_object_kind_object_id", "audit_entry")
    with op.batch_alter_table("account") as table:
        table.drop_column("payment_days")
        table.drop_column("mails_invoices")
    op.drop_table("invoice_mail")
    with op.batch_alter_table("invoice_line") as table:
        table.drop_column("share_minor")
        table.drop_column("discount_minor")
        table.drop_column("discount_rate")
    with op.batch_alter_table("invoice") as table:
        table.drop_constraint("uq_invoice_subscription_id_period_from", type_="unique")
        table.drop_constraint("fk_invoice_subscription_id", type_="foreignkey")
        table.drop_index("ix_invoice_copied_from_id")
        table.drop_constraint("fk_invoice_copied_from_id", type_="foreignkey")
        table.drop_column("mailed_at")
        table.drop_column("printed")
        table.drop_column("period_until")
        table.drop_column("period_from")
        table.drop_column("subscription_id")
        table.drop_column("copied_from_id")
        table.drop_column("discount_minor")
        table.drop_column("discount_rate")

"""nexudus: what was closed here as handed over, against what stands in Nexudus

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_PHASES = sa.Enum("gathering", "listing", "checking", "done", native_enum=False, length=24, name="phase")


def upgrade() -> None:
    op.create_table(
        "nexudus_reconciliation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("begins", _MOMENT, nullable=False),
        sa.Column("ends", _MOMENT, nullable=False),
        sa.Column("asked_by", sa.String(length=254), nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("phase", _PHASES, nullable=False),
        sa.Column("next_page", sa.Integer(), nullable=False),
        sa.Column("listed", sa.Integer(), nullable=False),
        sa.Column("listing", sa.Integer(), nullable=True),
        sa.Column("here_count", sa.Integer(), nullable=False),
        sa.Column("here_minor", sa.BigInteger(), nullable=False),
        sa.Column("there_count", sa.Integer(), nullable=False),
        sa.Column("there_minor", sa.BigInteger(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_nexudus_reconciliation_account_id_account")
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["nexudus_connection.id"],
            name=op.f("fk_nexudus_reconciliation_connection_id_nexudus_connection"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nexudus_reconciliation")),
        sa.UniqueConstraint("connection_id", "period", name=op.f("uq_nexudus_reconciliation_connection_id_period")),
    )
    op.create_table(
        "nexudus_reconciled_invoice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("reconciliation_id", sa.Integer(), nullable=False),
        sa.Column("invoice_id", sa.Integer(), nullable=True),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("remote_id", sa.BigInteger(), nullable=False),
        sa.Column("remote_number", sa.String(length=80), nullable=False),
        sa.Column("here_minor", sa.BigInteger(), nullable=True),
        sa.Column("there_minor", sa.BigInteger(), nullable=True),
        sa.Column("is_checked", sa.Boolean(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("note", sa.String(length=400), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_nexudus_reconciled_invoice_account_id_account")
        ),
        sa.ForeignKeyConstraint(
            ["reconciliation_id"],
            ["nexudus_reconciliation.id"],
            name=op.f("fk_nexudus_reconciled_invoice_reconciliation"),
        ),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.id"], name=op.f("fk_nexudus_reconciled_invoice_invoice_id_invoice")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_nexudus_reconciled_invoice_customer_id_customer")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nexudus_reconciled_invoice")),
    )
    op.create_index(
        "ix_nexudus_reconciled_invoice_remote_id", "nexudus_reconciled_invoice", ["reconciliation_id", "remote_id"]
    )
    op.create_index(
        "ix_nexudus_reconciled_invoice_customer_id", "nexudus_reconciled_invoice", ["reconciliation_id", "customer_id"]
    )


def downgrade() -> None:
    op.drop_table("nexudus_reconciled_invoice")
    op.drop_table("nexudus_reconciliation")

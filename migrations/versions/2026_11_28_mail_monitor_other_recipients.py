"""mail_monitor: recipients of filed messages who may become customers, and why a sender is left out

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLE = "mail_monitor_other_recipient"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("address_key", sa.String(length=254), nullable=False),
        sa.Column("plain_key", sa.String(length=254), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f(f"fk_{TABLE}_account_id")),
        sa.ForeignKeyConstraint(["message_id"], ["mail_monitor_message.id"], name=op.f(f"fk_{TABLE}_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        sa.UniqueConstraint("message_id", "address_key", name=op.f(f"uq_{TABLE}_message_id_address_key")),
    )
    op.create_index(f"ix_{TABLE}_account_id_address_key", TABLE, ["account_id", "address_key"])
    op.create_index(f"ix_{TABLE}_account_id_plain_key", TABLE, ["account_id", "plain_key"])
    op.add_column(
        "mail_monitor_remembered_address",
        sa.Column("why", sa.String(length=200), nullable=False, server_default=""),
    )


def downgrade() -> None:
    op.drop_column("mail_monitor_remembered_address", "why")
    op.drop_table(TABLE)

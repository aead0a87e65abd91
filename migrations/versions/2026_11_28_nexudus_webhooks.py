"""nexudus: what Nexudus tells us by itself, at which address and signed with which secret

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("nexudus_connection") as table:
        table.add_column(sa.Column("hook_key", sa.String(length=48), nullable=True))
        table.add_column(sa.Column("hook_secret", sa.Text(), nullable=True))
        table.add_column(sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True))
        table.create_unique_constraint(op.f("uq_nexudus_connection_hook_key"), ["hook_key"])


def downgrade() -> None:
    with op.batch_alter_table("nexudus_connection") as table:
        table.drop_constraint(op.f("uq_nexudus_connection_hook_key"), type_="unique")
        table.drop_column("heard_at")
        table.drop_column("hook_secret")
        table.drop_column("hook_key")

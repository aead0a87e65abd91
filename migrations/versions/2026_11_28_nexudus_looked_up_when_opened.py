"""nexudus: when somebody who opened an invoice had its unknown outcome looked up

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nexudus_invoice_export", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("nexudus_invoice_export") as table:
        table.drop_column("asked_at")

"""host: of which location's mail somebody is told

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Inline, because SQLite cannot add a constraint to a table that others refer to without making it anew.
    location = sa.Column("location_id", sa.Integer(), sa.ForeignKey("location.id"))
    op.add_column("membership", location, inline_references=True)


def downgrade() -> None:
    with op.batch_alter_table("membership") as table:
        table.drop_column("location_id")

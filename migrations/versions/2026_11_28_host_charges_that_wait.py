"""host: charges that wait for a person, found by an index of their own

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_WAITS = sa.text("state IN ('held', 'ask')")


def upgrade() -> None:
    op.create_index(
        "ix_collection_account_id_state",
        "collection",
        ["account_id", "state"],
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    )


def downgrade() -> None:
    op.drop_index("ix_collection_account_id_state", "collection")

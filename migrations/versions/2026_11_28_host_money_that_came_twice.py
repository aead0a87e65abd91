"""host: money that came in for an invoice that was settled already is found by an index

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_PAID_TWICE = sa.text("code = 'paid_twice'")


def upgrade() -> None:
    op.create_index(
        "ix_charge_account_id", "charge", ["account_id"], sqlite_where=_PAID_TWICE, postgresql_where=_PAID_TWICE
    )


def downgrade() -> None:
    op.drop_index("ix_charge_account_id", "charge")

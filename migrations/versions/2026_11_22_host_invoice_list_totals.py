"""host: counts and sums above the list of invoices out of an index

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_invoice_account_id_status_total", "invoice", ["account_id", "status", "currency", "total_minor"]
    )


def downgrade() -> None:
    op.drop_index("ix_invoice_account_id_status_total", "invoice")

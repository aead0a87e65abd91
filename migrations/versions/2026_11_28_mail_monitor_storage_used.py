"""mail_monitor: how much storage an account uses, read from an index

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_mail_monitor_blob_account_id_size", "mail_monitor_blob", ["account_id", "size"])


def downgrade() -> None:
    op.drop_index("ix_mail_monitor_blob_account_id_size", "mail_monitor_blob")

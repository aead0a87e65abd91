"""mail_monitor: the folder of sent mail as a person chose it

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLE = "mail_monitor_email_account"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("sent_folder", sa.String(length=500)))
    for name in ("sent_changed_at", "sent_missing_since", "folders_listed_at", "folders_asked_at"):
        op.add_column(TABLE, sa.Column(name, sa.DateTime(timezone=True)))
    op.add_column(TABLE, sa.Column("folder_list", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    for name in (
        *("folder_list", "folders_asked_at", "folders_listed_at", "sent_missing_since", "sent_changed_at"),
        "sent_folder",
    ):
        op.drop_column(TABLE, name)

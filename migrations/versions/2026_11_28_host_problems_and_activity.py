"""host: what waits for a person, who is told by mail, mails that were looked at

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice_choice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("membership_id", sa.Integer(), nullable=False),
        sa.Column("notice", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_notice_choice_account_id")),
        sa.ForeignKeyConstraint(
            ["membership_id"], ["membership.id"], name=op.f("fk_notice_choice_membership_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_choice")),
        sa.UniqueConstraint("membership_id", "notice", name=op.f("uq_notice_choice_membership_id_notice")),
    )
    with op.batch_alter_table("outgoing_mail") as table:
        table.add_column(sa.Column("seen_at", sa.DateTime(timezone=True)))
        table.create_index("ix_outgoing_mail_account_id_state", ["account_id", "state", "seen_at"])
    op.create_index("ix_audit_entry_account_id_action", "audit_entry", ["account_id", "action", "at"])
    op.create_index("ix_audit_entry_action_outcome", "audit_entry", ["action", "outcome"])


def downgrade() -> None:
    op.drop_index("ix_audit_entry_action_outcome", "audit_entry")
    op.drop_index("ix_audit_entry_account_id_action", "audit_entry")
    with op.batch_alter_table("outgoing_mail") as table:
        table.drop_index("ix_outgoing_mail_account_id_state")
        table.drop_column("seen_at")
    op.drop_table("notice_choice")

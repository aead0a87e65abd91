"""mail_monitor: deletions here and on the server

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("mail_monitor_email_account", schema=None) as batch_op:
        batch_op.add_column(sa.Column("delete_agreed_at", sa.DateTime(timezone=True), nullable=True))

    op.create_table(
        "mail_monitor_removal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("email_account_id", sa.Integer(), nullable=False),
        sa.Column("sighting_id", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=24), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by", sa.String(length=254), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("how", sa.String(length=24), nullable=True),
        sa.Column("sentence", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_mail_monitor_removal_account_id")),
        sa.ForeignKeyConstraint(
            ["email_account_id"],
            ["mail_monitor_email_account.id"],
            name=op.f("fk_mail_monitor_removal_email_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["sighting_id"], ["mail_monitor_sighting.id"], name=op.f("fk_mail_monitor_removal_sighting_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_monitor_removal")),
        sa.UniqueConstraint("sighting_id", name=op.f("uq_mail_monitor_removal_sighting_id")),
    )
    with op.batch_alter_table("mail_monitor_removal", schema=None) as batch_op:
        batch_op.create_index(
            "ix_mail_monitor_removal_email_account_id_state", ["email_account_id", "state", "id"], unique=False
        )

    op.create_table(
        "mail_monitor_message_search",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("installation_id", sa.Integer(), nullable=False),
        sa.Column("email_account_id", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by", sa.String(length=254), nullable=False),
        sa.Column("sender", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("sentence", sa.String(length=500), nullable=False),
        sa.Column("folders_done", sa.Integer(), nullable=False),
        sa.Column("folders_all", sa.Integer(), nullable=False),
        sa.Column("hits", sa.JSON(), nullable=False),
        sa.Column("has_more", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_mail_monitor_message_search_account_id")),
        sa.ForeignKeyConstraint(
            ["email_account_id"],
            ["mail_monitor_email_account.id"],
            name=op.f("fk_mail_monitor_message_search_email_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["installation_id"], ["installation.id"], name=op.f("fk_mail_monitor_message_search_installation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_monitor_message_search")),
    )
    with op.batch_alter_table("mail_monitor_message_search", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mail_monitor_message_search_due_at"), ["due_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_mail_monitor_message_search_email_account_id"), ["email_account_id"], unique=False
        )


def downgrade() -> None:
    op.drop_table("mail_monitor_message_search")
    op.drop_table("mail_monitor_removal")
    with op.batch_alter_table("mail_monitor_email_account", schema=None) as batch_op:
        batch_op.drop_column("delete_agreed_at")

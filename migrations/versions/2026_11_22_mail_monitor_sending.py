"""mail_monitor: mails written here and notices

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def _number() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), nullable=False)


def _key(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=op.f(f"pk_mail_monitor_{table}"))


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_mail_monitor_{table}_{column}"))


def upgrade() -> None:
    with op.batch_alter_table("mail_monitor_email_account", schema=None) as batch_op:
        batch_op.add_column(sa.Column("notices_rest_until", sa.DateTime(timezone=True), nullable=True))

    # What the product itself sent came through no mailbox.
    with op.batch_alter_table("mail_monitor_filing", schema=None) as batch_op:
        batch_op.alter_column("email_account_id", existing_type=sa.Integer(), nullable=True)

    op.create_table(
        "mail_monitor_outgoing",
        _number(),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("email_account_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("answers_id", sa.Integer(), nullable=True),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("to", sa.Text(), nullable=False),
        sa.Column("cc", sa.Text(), nullable=False),
        sa.Column("bcc", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("quotes", sa.Boolean(), nullable=False),
        sa.Column("written_by", sa.String(length=254), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("message_id", sa.String(length=400), nullable=False),
        sa.Column("message_key", sa.String(length=64), nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("returned", sa.JSON(), nullable=False),
        sa.Column("copy_state", sa.String(length=24), nullable=False),
        sa.Column("copy_problem", sa.String(length=300), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        _refers("outgoing", "account_id", "account"),
        _refers("outgoing", "email_account_id", "mail_monitor_email_account"),
        _refers("outgoing", "customer_id", "customer"),
        _refers("outgoing", "answers_id", "mail_monitor_message"),
        _refers("outgoing", "record_id", "mail_monitor_message"),
        _key("outgoing"),
        sa.UniqueConstraint("account_id", "token", name=op.f("uq_mail_monitor_outgoing_account_id_token")),
    )
    with op.batch_alter_table("mail_monitor_outgoing", schema=None) as batch_op:
        batch_op.create_index("ix_mail_monitor_outgoing_account_id_message_key", ["account_id", "message_key"])
        batch_op.create_index("ix_mail_monitor_outgoing_customer_id_state", ["customer_id", "state", "id"])
        batch_op.create_index("ix_mail_monitor_outgoing_email_account_id_asked_at", ["email_account_id", "asked_at"])
        batch_op.create_index(batch_op.f("ix_mail_monitor_outgoing_due_at"), ["due_at"])
        batch_op.create_index(batch_op.f("ix_mail_monitor_outgoing_record_id"), ["record_id"])

    op.create_table(
        "mail_monitor_outgoing_file",
        _number(),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("outgoing_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("content_type", sa.String(length=120), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("blob_hash", sa.String(length=64), nullable=False),
        _refers("outgoing_file", "account_id", "account"),
        _refers("outgoing_file", "outgoing_id", "mail_monitor_outgoing"),
        _key("outgoing_file"),
        sa.UniqueConstraint("outgoing_id", "position", name=op.f("uq_mail_monitor_outgoing_file_outgoing_id_position")),
    )
    with op.batch_alter_table("mail_monitor_outgoing_file", schema=None) as batch_op:
        batch_op.create_index("ix_mail_monitor_outgoing_file_account_id_blob_hash", ["account_id", "blob_hash"])

    op.create_table(
        "mail_monitor_notice",
        _number(),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("email_account_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        _refers("notice", "account_id", "account"),
        _refers("notice", "email_account_id", "mail_monitor_email_account"),
        _refers("notice", "message_id", "mail_monitor_message"),
        _key("notice"),
        sa.UniqueConstraint("message_id", name=op.f("uq_mail_monitor_notice_message_id")),
    )
    with op.batch_alter_table("mail_monitor_notice", schema=None) as batch_op:
        batch_op.create_index("ix_mail_monitor_notice_email_account_id_state", ["email_account_id", "state", "id"])
        batch_op.create_index(batch_op.f("ix_mail_monitor_notice_due_at"), ["due_at"])

    op.create_table(
        "mail_monitor_host_copy",
        _number(),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("outgoing_mail_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        _refers("host_copy", "account_id", "account"),
        _refers("host_copy", "outgoing_mail_id", "outgoing_mail"),
        _refers("host_copy", "message_id", "mail_monitor_message"),
        _key("host_copy"),
        sa.UniqueConstraint("outgoing_mail_id", name=op.f("uq_mail_monitor_host_copy_outgoing_mail_id")),
    )


def downgrade() -> None:
    for table in ("host_copy", "notice", "outgoing_file", "outgoing"):
        op.drop_table(f"mail_monitor_{table}")
    op.execute("DELETE FROM mail_monitor_filing WHERE email_account_id IS NULL")
    with op.batch_alter_table("mail_monitor_filing", schema=None) as batch_op:
        batch_op.alter_column("email_account_id", existing_type=sa.Integer(), nullable=False)
    with op.batch_alter_table("mail_monitor_email_account", schema=None) as batch_op:
        batch_op.drop_column("notices_rest_until")

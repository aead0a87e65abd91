"""mail_monitor: reading, threads and search

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_monitor_picture_sender",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("address_key", sa.String(length=254), nullable=False),
        sa.Column("wished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("wished_by", sa.String(length=254), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_mail_monitor_picture_sender_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_monitor_picture_sender")),
        sa.UniqueConstraint(
            "account_id", "address_key", name=op.f("uq_mail_monitor_picture_sender_account_id_address_key")
        ),
    )
    op.create_table(
        "mail_monitor_safe_copy",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("html_with_pictures", sa.Text(), nullable=False),
        sa.Column("height", sa.String(length=24), nullable=False),
        sa.Column("blocked", sa.Integer(), nullable=False),
        sa.Column("trackers", sa.Integer(), nullable=False),
        sa.Column("odd_links", sa.JSON(), nullable=False),
        sa.Column("refusal", sa.String(length=200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_mail_monitor_safe_copy_account_id")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["mail_monitor_message.id"], name=op.f("fk_mail_monitor_safe_copy_message_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_monitor_safe_copy")),
        sa.UniqueConstraint("message_id", name=op.f("uq_mail_monitor_safe_copy_message_id")),
    )
    with op.batch_alter_table("mail_monitor_safe_copy", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mail_monitor_safe_copy_due_at"), ["due_at"], unique=False)

    op.create_table(
        "mail_monitor_thread",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("subject_key", sa.String(length=64), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_mail_monitor_thread_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_mail_monitor_thread_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_monitor_thread")),
    )
    with op.batch_alter_table("mail_monitor_thread", schema=None) as batch_op:
        batch_op.create_index(
            "ix_mail_monitor_thread_customer_id_last_at", ["customer_id", "last_at", "id"], unique=False
        )
        batch_op.create_index(
            "ix_mail_monitor_thread_customer_id_subject_key", ["customer_id", "subject_key", "last_at"], unique=False
        )

    op.create_table(
        "mail_monitor_thread_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("message_key", sa.String(length=64), nullable=False),
        sa.Column("thread_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_mail_monitor_thread_key_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_mail_monitor_thread_key_customer_id")),
        sa.ForeignKeyConstraint(
            ["thread_id"],
            ["mail_monitor_thread.id"],
            name=op.f("fk_mail_monitor_thread_key_thread_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_monitor_thread_key")),
        sa.UniqueConstraint(
            "customer_id", "message_key", name=op.f("uq_mail_monitor_thread_key_customer_id_message_key")
        ),
    )
    with op.batch_alter_table("mail_monitor_thread_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mail_monitor_thread_key_thread_id"), ["thread_id"], unique=False)

    with op.batch_alter_table("mail_monitor_attachment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("is_inline", sa.Boolean(), nullable=False, server_default=sa.false()))

    with op.batch_alter_table("mail_monitor_filing", schema=None) as batch_op:
        batch_op.add_column(sa.Column("thread_id", sa.Integer(), nullable=True))
        batch_op.create_index(
            "ix_mail_monitor_filing_thread_id_received_at", ["thread_id", "received_at", "id"], unique=False
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_mail_monitor_filing_thread_id"), "mail_monitor_thread", ["thread_id"], ["id"]
        )
    _give_each_filing_a_thread()


def downgrade() -> None:
    with op.batch_alter_table("mail_monitor_filing", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_mail_monitor_filing_thread_id"), type_="foreignkey")
        batch_op.drop_index("ix_mail_monitor_filing_thread_id_received_at")
        batch_op.drop_column("thread_id")

    with op.batch_alter_table("mail_monitor_attachment", schema=None) as batch_op:
        batch_op.drop_column("is_inline")

    with op.batch_alter_table("mail_monitor_thread_key", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_mail_monitor_thread_key_thread_id"))

    op.drop_table("mail_monitor_thread_key")
    with op.batch_alter_table("mail_monitor_thread", schema=None) as batch_op:
        batch_op.drop_index("ix_mail_monitor_thread_customer_id_subject_key")
        batch_op.drop_index("ix_mail_monitor_thread_customer_id_last_at")

    op.drop_table("mail_monitor_thread")
    with op.batch_alter_table("mail_monitor_safe_copy", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_mail_monitor_safe_copy_due_at"))

    op.drop_table("mail_monitor_safe_copy")
    op.drop_table("mail_monitor_picture_sender")


def _give_each_filing_a_thread() -> None:
    """What was filed before is listed on, each message for itself."""
    op.execute(
        "INSERT INTO mail_monitor_thread (id, account_id, customer_id, subject_key, last_at) "
        "SELECT id, account_id, customer_id, '', received_at FROM mail_monitor_filing WHERE deleted_at IS NULL"
    )
    op.execute("UPDATE mail_monitor_filing SET thread_id = id WHERE deleted_at IS NULL")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "SELECT setval(pg_get_serial_sequence('mail_monitor_thread', 'id'), COALESCE(MAX(id), 0) + 1, false) "
            "FROM mail_monitor_thread"
        )

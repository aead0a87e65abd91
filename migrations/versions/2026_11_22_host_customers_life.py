"""host: what happens to a customer over time, recipients, subscriptions

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plan",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("subtitle", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("monthly_minor", sa.BigInteger(), nullable=False),
        sa.Column("long_cycle", sa.String(length=24), nullable=True),
        sa.Column("long_minor", sa.BigInteger(), nullable=True),
        sa.Column("setup_minor", sa.BigInteger(), nullable=False),
        sa.Column("recipient_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_rate", sa.String(length=32), nullable=True),
        sa.Column("shown", sa.Boolean(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_plan_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sa.UniqueConstraint("account_id", "title", name=op.f("uq_plan_account_id_title")),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("cycle", sa.String(length=24), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("setup_minor", sa.BigInteger(), nullable=False),
        sa.Column("recipient_minor", sa.BigInteger(), nullable=False),
        sa.Column("billing_starts_on", sa.Date(), nullable=False),
        sa.Column("next_period", sa.Integer(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_subscription_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_subscription_customer_id")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_subscription_plan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
    )
    with op.batch_alter_table("subscription", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscription_customer_id"), ["customer_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_subscription_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_subscription_plan_id"), ["plan_id"], unique=False)
    op.create_table(
        "customer_move",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deed", sa.String(length=24), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("by", sa.String(length=320), nullable=False),
        sa.Column("why", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_customer_move_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_customer_move_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_move")),
    )
    with op.batch_alter_table("customer_move", schema=None) as batch_op:
        batch_op.create_index("ix_customer_move_customer_id_at", ["customer_id", "at", "id"], unique=False)
    op.create_table(
        "planned_move",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("aim", sa.String(length=24), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("welcome", sa.Boolean(), nullable=False),
        sa.Column("by", sa.String(length=320), nullable=False),
        sa.Column("why", sa.String(length=300), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_planned_move_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_planned_move_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_planned_move")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_planned_move_customer_id")),
    )
    with op.batch_alter_table("planned_move", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_planned_move_due_at"), ["due_at"], unique=False)
    op.create_table(
        "recipient",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("standing", sa.String(length=24), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_recipient_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_recipient_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient")),
    )
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_recipient_customer_id"), ["customer_id"], unique=False)
    op.create_table(
        "recipient_email",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("recipient_id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_recipient_email_account_id")),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("fk_recipient_email_recipient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient_email")),
        sa.UniqueConstraint("recipient_id", "email_key", name=op.f("uq_recipient_email_recipient_id_email_key")),
    )
    with op.batch_alter_table("recipient_email", schema=None) as batch_op:
        batch_op.create_index("ix_recipient_email_account_id_email_key", ["account_id", "email_key"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("recipient_email", schema=None) as batch_op:
        batch_op.drop_index("ix_recipient_email_account_id_email_key")
    op.drop_table("recipient_email")
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_recipient_customer_id"))
    op.drop_table("recipient")
    with op.batch_alter_table("planned_move", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_planned_move_due_at"))
    op.drop_table("planned_move")
    with op.batch_alter_table("customer_move", schema=None) as batch_op:
        batch_op.drop_index("ix_customer_move_customer_id_at")
    op.drop_table("customer_move")
    with op.batch_alter_table("subscription", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_subscription_plan_id"))
        batch_op.drop_index(batch_op.f("ix_subscription_due_at"))
        batch_op.drop_index(batch_op.f("ix_subscription_customer_id"))
    op.drop_table("subscription")
    op.drop_table("plan")

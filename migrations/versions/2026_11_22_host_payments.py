"""host: the card gateway, saved cards, charges and refunds

The slug begins with the owner (host or a plugin's name). Add first, remove in a later release; a required
column comes in two steps; never import models; long locks and data moves get a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payment_gateway",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=24), nullable=False),
        sa.Column("secret_key", sa.Text(), nullable=True),
        sa.Column("webhook_secret", sa.Text(), nullable=True),
        sa.Column("webhook_key", sa.String(length=48), nullable=False),
        sa.Column("tag", sa.String(length=16), nullable=False),
        sa.Column("key_hint", sa.String(length=40), nullable=False),
        sa.Column("remote_account", sa.String(length=80), nullable=False),
        sa.Column("is_live", sa.Boolean(), nullable=False),
        sa.Column("is_restricted", sa.Boolean(), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_payment_gateway_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_gateway")),
        sa.UniqueConstraint("webhook_key", name=op.f("uq_payment_gateway_webhook_key")),
    )
    with op.batch_alter_table("payment_gateway", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payment_gateway_due_at"), ["due_at"], unique=False)
        batch_op.create_index(
            "uq_payment_gateway_account_id",
            ["account_id"],
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )

    op.create_table(
        "payment_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("gateway_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_payment_event_account_id")),
        sa.ForeignKeyConstraint(["gateway_id"], ["payment_gateway.id"], name=op.f("fk_payment_event_gateway_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_event")),
        sa.UniqueConstraint("gateway_id", "event_id", name=op.f("uq_payment_event_gateway_id_event_id")),
    )
    with op.batch_alter_table("payment_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payment_event_due_at"), ["due_at"], unique=False)

    op.create_table(
        "payer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("gateway_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_payer_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_payer_customer_id")),
        sa.ForeignKeyConstraint(["gateway_id"], ["payment_gateway.id"], name=op.f("fk_payer_gateway_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payer")),
        sa.UniqueConstraint("gateway_id", "customer_id", name=op.f("uq_payer_gateway_id_customer_id")),
    )
    with op.batch_alter_table("payer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payer_customer_id"), ["customer_id"], unique=False)

    op.create_table(
        "saved_card",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("gateway_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("brand", sa.String(length=30), nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("exp_month", sa.Integer(), nullable=False),
        sa.Column("exp_year", sa.Integer(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_saved_card_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_saved_card_customer_id")),
        sa.ForeignKeyConstraint(["gateway_id"], ["payment_gateway.id"], name=op.f("fk_saved_card_gateway_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_card")),
        sa.UniqueConstraint("gateway_id", "ref", name=op.f("uq_saved_card_gateway_id_ref")),
    )
    with op.batch_alter_table("saved_card", schema=None) as batch_op:
        batch_op.create_index("ix_saved_card_customer_id_removed_at", ["customer_id", "removed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_saved_card_due_at"), ["due_at"], unique=False)

    op.create_table(
        "card_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("gateway_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=48), nullable=False),
        sa.Column("page_ref", sa.String(length=200), nullable=True),
        sa.Column("return_url", sa.String(length=500), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("card_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_card_entry_account_id")),
        sa.ForeignKeyConstraint(["card_id"], ["saved_card.id"], name=op.f("fk_card_entry_card_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_card_entry_customer_id")),
        sa.ForeignKeyConstraint(["gateway_id"], ["payment_gateway.id"], name=op.f("fk_card_entry_gateway_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_entry")),
        sa.UniqueConstraint("key", name=op.f("uq_card_entry_key")),
    )
    with op.batch_alter_table("card_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_card_entry_customer_id"), ["customer_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_card_entry_page_ref"), ["page_ref"], unique=False)

    op.create_table(
        "collection",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("invoice_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("card_id", sa.Integer(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("asked_by", sa.String(length=320), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_collection_account_id")),
        sa.ForeignKeyConstraint(["card_id"], ["saved_card.id"], name=op.f("fk_collection_card_id")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.id"], name=op.f("fk_collection_invoice_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection")),
        sa.UniqueConstraint("invoice_id", name=op.f("uq_collection_invoice_id")),
    )
    with op.batch_alter_table("collection", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_collection_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_collection_due_at"), ["due_at"], unique=False)

    op.create_table(
        "charge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("invoice_id", sa.Integer(), nullable=False),
        sa.Column("gateway_id", sa.Integer(), nullable=False),
        sa.Column("card_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("is_unknown", sa.Boolean(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("confirm_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_charge_account_id")),
        sa.ForeignKeyConstraint(["card_id"], ["saved_card.id"], name=op.f("fk_charge_card_id")),
        sa.ForeignKeyConstraint(["collection_id"], ["collection.id"], name=op.f("fk_charge_collection_id")),
        sa.ForeignKeyConstraint(["gateway_id"], ["payment_gateway.id"], name=op.f("fk_charge_gateway_id")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.id"], name=op.f("fk_charge_invoice_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge")),
        sa.UniqueConstraint("key", name=op.f("uq_charge_key")),
    )
    with op.batch_alter_table("charge", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_charge_collection_id"), ["collection_id"], unique=False)
        batch_op.create_index("ix_charge_gateway_id_ref", ["gateway_id", "ref"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_invoice_id"), ["invoice_id"], unique=False)
        batch_op.create_index(
            "uq_charge_invoice_id",
            ["invoice_id"],
            unique=True,
            sqlite_where=sa.text("state IN ('running', 'confirming')"),
            postgresql_where=sa.text("state IN ('running', 'confirming')"),
        )

    op.create_table(
        "refund",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("charge_id", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("is_unknown", sa.Boolean(), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=True),
        sa.Column("asked_by", sa.String(length=320), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_refund_account_id")),
        sa.ForeignKeyConstraint(["charge_id"], ["charge.id"], name=op.f("fk_refund_charge_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
        sa.UniqueConstraint("charge_id", "ref", name=op.f("uq_refund_charge_id_ref")),
        sa.UniqueConstraint("key", name=op.f("uq_refund_key")),
    )
    with op.batch_alter_table("refund", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_refund_charge_id"), ["charge_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_refund_due_at"), ["due_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("refund", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_refund_due_at"))
        batch_op.drop_index(batch_op.f("ix_refund_charge_id"))

    op.drop_table("refund")
    with op.batch_alter_table("charge", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_charge_invoice_id",
            sqlite_where=sa.text("state IN ('running', 'confirming')"),
            postgresql_where=sa.text("state IN ('running', 'confirming')"),
        )
        batch_op.drop_index(batch_op.f("ix_charge_invoice_id"))
        batch_op.drop_index("ix_charge_gateway_id_ref")
        batch_op.drop_index(batch_op.f("ix_charge_collection_id"))

    op.drop_table("charge")
    with op.batch_alter_table("collection", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_collection_due_at"))
        batch_op.drop_index(batch_op.f("ix_collection_account_id"))

    op.drop_table("collection")
    with op.batch_alter_table("card_entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_card_entry_page_ref"))
        batch_op.drop_index(batch_op.f("ix_card_entry_customer_id"))

    op.drop_table("card_entry")
    with op.batch_alter_table("saved_card", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_saved_card_due_at"))
        batch_op.drop_index("ix_saved_card_customer_id_removed_at")

    op.drop_table("saved_card")
    with op.batch_alter_table("payer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_payer_customer_id"))

    op.drop_table("payer")
    with op.batch_alter_table("payment_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_payment_event_due_at"))

    op.drop_table("payment_event")
    with op.batch_alter_table("payment_gateway", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_payment_gateway_account_id",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_payment_gateway_due_at"))

    op.drop_table("payment_gateway")

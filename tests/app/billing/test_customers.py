from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.audit import AuditEntry
from app.billing import customers, life
from app.billing.customers import Details, Search
from app.billing.models import Customer, CustomerStatus
from app.db import db, unit_of_work
from app.errors import InvalidInput, NotFound
from app.installations.models import InstallationState
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell


@pytest.fixture
def details(cast: Cast) -> Callable[..., Details]:
    """What somebody says about Tamsin Quill; say what is different."""
    home = cast.acme.locations[0].id

    def say(**differing: Any) -> Details:
        said: dict[str, Any] = {"full_name": "Tamsin Quill", "email": "tamsin@quill.example", "location_id": home}
        return Details(**(said | differing))

    return say


def names(found: list[Customer]) -> list[str]:
    return [customer.full_name for customer in found]


class TestFinding:
    def test_customers_come_by_name_without_regard_to_case_and_accents(self, cast: Cast) -> None:
        for name in ("Zeno Bell", "ásta Bell", "Mara Bell"):
            make.customer(cast.acme, name)

        assert names(customers.find(cast.acme, Search()).items) == ["ásta Bell", "Mara Bell", "Zeno Bell"]

    @pytest.mark.parametrize("typed", ["QUILL", "tamsin yarrow", "@yarrow.ex", "1042", "  tam  "])
    def test_name_company_email_and_mailbox_number_are_looked_through(self, cast: Cast, typed: str) -> None:
        make.customer(
            cast.acme, "Tamsin Quill", company="Quill & Yarrow", email="office@yarrow.example", mailbox_number="1042"
        )
        make.customer(cast.acme, "Benno Ashgrove", email="benno@ashgrove.example", mailbox_number="1017")

        assert names(customers.find(cast.acme, Search(typed)).items) == ["Tamsin Quill"]

    def test_what_means_anything_in_sql_is_only_text(self, cast: Cast) -> None:
        make.customer(cast.acme, "Tamsin Quill")

        assert customers.find(cast.acme, Search("%")).total == 0
        assert customers.find(cast.acme, Search("_")).total == 0

    def test_a_search_is_narrowed_by_status_and_by_who_bills(self, cast: Cast) -> None:
        make.customer(cast.acme, "Here", billed_by="")
        make.customer(cast.acme, "There", billed_by="nexudus")
        make.customer(cast.acme, "Gone", billed_by="nexudus", status=CustomerStatus.INACTIVE)

        found = customers.find(cast.acme, Search(status=CustomerStatus.ACTIVE, billed_by="nexudus"))

        assert names(found.items) == ["There"]

    def test_a_changed_customer_is_found_under_the_new_name_only(
        self, cast: Cast, details: Callable[..., Details]
    ) -> None:
        customer = make.customer(cast.acme, "Tamsin Quill")
        with unit_of_work():
            customers.edit(cast.acme, customers.locked(cast.acme, customer.id), details(full_name="Tamsin Reed"))

        assert customers.find(cast.acme, Search("reed")).total == 1
        assert customers.find(cast.acme, Search("tamsin quill")).total == 1, "the email still says quill"
        assert names(customers.find(cast.acme, Search()).items) == ["Tamsin Reed"]

    def test_another_accounts_customer_is_not_there(self, cast: Cast) -> None:
        customer = make.customer(cast.zenith)

        with pytest.raises(NotFound):
            customers.get(cast.acme, customer.id)
        assert customers.find(cast.acme, Search()).total == 0


class TestAdding:
    def test_a_new_customer_is_inactive_and_the_audit_says_so(
        self, cast: Cast, details: Callable[..., Details]
    ) -> None:
        with unit_of_work():
            customer = customers.add(cast.acme, details(email=" Tamsin@Quill.example "))

        assert customer.status == CustomerStatus.INACTIVE
        assert customer.email == "Tamsin@quill.example"
        assert customer.email_key == "tamsin@quill.example"
        entry = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "customer_added")).one()
        assert (entry.object_kind, entry.object_id) == ("Customer", customer.id)

    def test_an_email_is_taken_whatever_its_case(self, cast: Cast, details: Callable[..., Details]) -> None:
        make.customer(cast.acme, "Oskar Penhallow", email="tamsin@quill.example")

        with pytest.raises(InvalidInput, match="Oskar Penhallow has this email already") as refused, unit_of_work():
            customers.add(cast.acme, details(email="TAMSIN@quill.example"))
        assert refused.value.field == "email"

    def test_two_accounts_may_serve_the_same_person(self, cast: Cast, details: Callable[..., Details]) -> None:
        make.customer(cast.zenith, email="tamsin@quill.example")

        with unit_of_work():
            assert customers.add(cast.acme, details()).id

    def test_a_mailbox_number_is_taken_once_per_location(self, cast: Cast, details: Callable[..., Details]) -> None:
        mill_lane = make.location(cast.acme, "Mill Lane")
        make.customer(cast.acme, "Oskar Penhallow", mailbox_number="1042")

        with pytest.raises(InvalidInput, match="Oskar Penhallow has this number already"), unit_of_work():
            customers.add(cast.acme, details(mailbox_number="1042"))
        with unit_of_work():
            assert customers.add(cast.acme, details(mailbox_number="1042", location_id=mill_lane.id)).id

    def test_the_next_free_number_follows_the_highest_of_its_location(
        self, cast: Cast, details: Callable[..., Details]
    ) -> None:
        mill_lane = make.location(cast.acme, "Mill Lane")
        make.customer(cast.acme, mailbox_number="1042")
        make.customer(cast.acme, mailbox_number="9")
        make.customer(cast.acme, mailbox_number="A-7")
        make.customer(cast.acme, mailbox_number="2001", location=mill_lane)

        with unit_of_work():
            assert customers.add(cast.acme, details(), pick_number=True).mailbox_number == "1043"

    def test_the_first_customer_of_a_location_gets_the_first_number(
        self, cast: Cast, details: Callable[..., Details]
    ) -> None:
        with unit_of_work():
            assert customers.add(cast.acme, details(), pick_number=True).mailbox_number == "1001"

    @pytest.mark.parametrize(
        ("field", "typed", "sentence"),
        [
            ("full_name", "", "needs a name"),
            ("full_name", "x" * 10_000, "there is room for 160"),
            ("full_name", "Tamsin\0Quill", r"U\+0000"),
            ("full_name", "Tamsin \u202eQuill", r"U\+202E"),
            ("company", "Quill\nYarrow", r"U\+000A"),
            ("email", "tamsin", "not an email address"),
            ("email", "", "Type an email address"),
            ("country", "ZZ", "no country code"),
        ],
    )
    def test_what_cannot_be_stored_is_refused_with_a_sentence(
        self, cast: Cast, details: Callable[..., Details], field: str, typed: str, sentence: str
    ) -> None:
        with pytest.raises(InvalidInput, match=sentence) as refused, unit_of_work():
            customers.add(cast.acme, details(**{field: typed}))
        assert refused.value.field == field
        assert customers.find(cast.acme, Search()).total == 0

    def test_a_location_of_another_account_is_refused(self, cast: Cast, details: Callable[..., Details]) -> None:
        theirs = cast.zenith.locations[0].id

        with pytest.raises(InvalidInput, match="one of your locations"), unit_of_work():
            customers.add(cast.acme, details(location_id=theirs))


class TestChanging:
    def test_connected_plugins_hear_of_changed_contact_data(
        self, cast: Cast, details: Callable[..., Details], bell: HeardBell
    ) -> None:
        customer = make.customer(cast.acme, email="tamsin@quill.example")
        installation = make.installation(cast.acme, "example")

        with unit_of_work():
            customers.edit(cast.acme, customers.locked(cast.acme, customer.id), details(phone="+351 210"))

        assert bell.rings == [("example.greet", installation.id, customer.id)]

    def test_a_new_mailbox_number_is_no_contact_data(
        self, cast: Cast, details: Callable[..., Details], bell: HeardBell
    ) -> None:
        make.installation(cast.acme, "example")
        with unit_of_work():
            customer = customers.add(cast.acme, details())

        with unit_of_work():
            edited = customers.edit(cast.acme, customers.locked(cast.acme, customer.id), details(mailbox_number="7"))

        assert edited
        assert bell.rings == []

    def test_saving_what_is_there_already_changes_nothing(
        self, cast: Cast, details: Callable[..., Details], bell: HeardBell
    ) -> None:
        with unit_of_work():
            customer = customers.add(cast.acme, details())

        with unit_of_work():
            assert not customers.edit(cast.acme, customers.locked(cast.acme, customer.id), details())
        assert audited("customer_changed") == 0
        assert bell.rings == []


class TestActivating:
    def test_an_activated_customer_has_a_number_and_the_plugins_hear_of_it(self, cast: Cast, bell: HeardBell) -> None:
        customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE)
        make.installation(cast.acme, "example")

        with unit_of_work():
            assert life.activate(customers.locked(cast.acme, customer.id))

        assert customer.status == CustomerStatus.ACTIVE
        assert customer.mailbox_number == "1001"
        assert customer.activated_at is not None
        assert len(bell.rings) == 1
        assert audited("customer_activated") == 1

    def test_activating_twice_is_said_once(self, cast: Cast, bell: HeardBell) -> None:
        customer = make.customer(cast.acme)
        make.installation(cast.acme, "example")

        with unit_of_work():
            assert not life.activate(customers.locked(cast.acme, customer.id))
        assert bell.rings == []

    def test_nobody_is_rung_for_while_the_plugin_is_not_connected(self, cast: Cast, bell: HeardBell) -> None:
        customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE)
        make.installation(cast.acme, "example", state=InstallationState.ON)

        with unit_of_work():
            life.activate(customers.locked(cast.acme, customer.id))
        assert bell.rings == []

    def test_a_deactivated_customer_keeps_number_and_biller(self, cast: Cast) -> None:
        customer = make.customer(cast.acme, mailbox_number="1042", billed_by="nexudus")

        with unit_of_work():
            assert life.deactivate(customers.locked(cast.acme, customer.id))

        assert (customer.status, customer.mailbox_number, customer.billed_by) == ("inactive", "1042", "nexudus")
        assert audited("customer_deactivated") == 1


def test_counts_name_every_status(app: Flask, cast: Cast) -> None:
    make.customer(cast.acme)
    make.customer(cast.zenith)

    counts = customers.count_by_status(cast.acme)

    assert counts[CustomerStatus.ACTIVE] == 1
    assert counts[CustomerStatus.LEAD] == 0


def test_a_change_of_the_biller_is_audited_once(cast: Cast) -> None:
    customer = make.customer(cast.acme)

    for _ in range(2):
        with unit_of_work():
            customers.set_billed_by(customers.locked(cast.acme, customer.id), "nexudus")

    assert customer.billed_by == "nexudus"
    assert audited("billed_by") == 1


def audited(action: str) -> int:
    query = sa.select(sa.func.count()).select_from(AuditEntry).where(AuditEntry.action == action)
    return db.session.scalar(query) or 0

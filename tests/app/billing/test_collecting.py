from datetime import UTC, datetime, timedelta

import pytest

from app.billing import collecting
from app.billing.collecting import PaidBy
from app.billing.models import Invoice, InvoiceStatus
from app.db import unit_of_work
from app.errors import Conflict
from app.installations.models import InstallationState
from tests import make
from tests.cast import Cast

CUTOVER = datetime(2026, 9, 2, 9, 14, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def invoice(cast: Cast) -> Invoice:
    return make.invoice(make.customer(cast.acme))


class TestClaiming:
    def test_the_first_one_has_it(self, invoice: Invoice) -> None:
        with unit_of_work():
            assert collecting.claim(invoice.id, "nexudus")
        with unit_of_work():
            assert not collecting.claim(invoice.id, "gateway")

        assert invoice.collector == "nexudus"
        assert invoice.collected_at is not None

    @pytest.mark.parametrize("status", sorted(set(InvoiceStatus) - {InvoiceStatus.PENDING}))
    def test_only_what_is_pending_can_be_claimed(self, cast: Cast, status: InvoiceStatus) -> None:
        invoice = make.invoice(make.customer(cast.acme), status=status)

        with unit_of_work():
            assert not collecting.claim(invoice.id, "nexudus")
        assert invoice.collector is None

    def test_only_its_collector_gives_it_back(self, invoice: Invoice) -> None:
        with unit_of_work():
            collecting.claim(invoice.id, "nexudus")

        with unit_of_work():
            assert not collecting.give_back(invoice.id, "gateway")
        with unit_of_work():
            assert collecting.give_back(invoice.id, "nexudus")
        with unit_of_work():
            assert collecting.claim(invoice.id, "gateway"), "it is free again"


class TestHandingOver:
    def test_a_handed_over_invoice_is_closed_and_not_paid(self, invoice: Invoice) -> None:
        with unit_of_work():
            collecting.claim(invoice.id, "nexudus")
        with unit_of_work():
            collecting.close_as_handed_over(invoice.id, "nexudus", "INV-3391")

        assert (invoice.status, invoice.handed_over_as) == ("closed", "INV-3391")
        assert invoice.closed_at is not None
        assert invoice.paid_at is None

    def test_only_its_collector_closes_it(self, invoice: Invoice) -> None:
        with pytest.raises(Conflict), unit_of_work():
            collecting.close_as_handed_over(invoice.id, "nexudus", "INV-3391")

        assert invoice.status == "pending"

    def test_what_is_closed_is_never_given_back(self, invoice: Invoice) -> None:
        with unit_of_work():
            collecting.claim(invoice.id, "nexudus")
            collecting.close_as_handed_over(invoice.id, "nexudus", "INV-3391")

        with unit_of_work():
            assert not collecting.give_back(invoice.id, "nexudus")
        assert invoice.collector == "nexudus"


class TestTheGateway:
    def test_it_collects_from_customers_of_the_host(self, invoice: Invoice) -> None:
        with unit_of_work():
            assert collecting.collect(invoice.id)
        with unit_of_work():
            collecting.charged(invoice.id, "ch_7731")

        assert (invoice.collector, invoice.status, invoice.paid_how) == ("gateway", "paid", "Card")

    @pytest.mark.parametrize(
        ("after_cutover", "taken"), [(-MICROSECOND, True), (timedelta(0), True), (MICROSECOND, False)]
    )
    def test_it_leaves_alone_what_was_created_after_the_plugin_took_over(
        self, cast: Cast, after_cutover: timedelta, *, taken: bool
    ) -> None:
        make.installation(cast.acme, cutover_at=CUTOVER)
        customer = make.customer(cast.acme, billed_by="nexudus")
        invoice = make.invoice(customer, created_at=CUTOVER + after_cutover)

        with unit_of_work():
            assert collecting.collect(invoice.id) is taken

    def test_it_collects_while_the_plugin_is_off(self, cast: Cast) -> None:
        make.installation(cast.acme, state=InstallationState.OFF, cutover_at=CUTOVER)
        invoice = make.invoice(make.customer(cast.acme, billed_by="nexudus"))

        with unit_of_work():
            assert collecting.collect(invoice.id)

    def test_it_collects_while_the_plugin_is_on_and_was_never_connected(self, cast: Cast) -> None:
        make.installation(cast.acme, state=InstallationState.ON)
        invoice = make.invoice(make.customer(cast.acme, billed_by="nexudus"))

        with unit_of_work():
            assert collecting.collect(invoice.id)

    def test_it_waits_while_the_plugin_needs_attention(self, cast: Cast) -> None:
        make.installation(cast.acme, state=InstallationState.ATTENTION, cutover_at=CUTOVER)
        invoice = make.invoice(make.customer(cast.acme, billed_by="nexudus"))

        with unit_of_work():
            assert not collecting.collect(invoice.id)

    def test_another_accounts_plugin_does_not_count(self, cast: Cast) -> None:
        make.installation(cast.zenith, cutover_at=CUTOVER)
        invoice = make.invoice(make.customer(cast.acme, billed_by="nexudus"))

        with unit_of_work():
            assert collecting.collect(invoice.id)

    def test_it_cannot_report_money_for_what_it_did_not_take(self, invoice: Invoice) -> None:
        with pytest.raises(Conflict), unit_of_work():
            collecting.charged(invoice.id, "ch_7731")

        assert invoice.status == "pending"


class TestByHand:
    def test_a_person_takes_and_pays_in_one_go(self, invoice: Invoice) -> None:
        with unit_of_work():
            collecting.mark_paid_by_hand(invoice, PaidBy.CASH, "At the desk.")

        assert (invoice.collector, invoice.status) == ("by_hand", "paid")
        assert (invoice.paid_how, invoice.paid_note) == ("Cash", "At the desk.")

    def test_what_somebody_collects_cannot_be_marked_as_paid(self, invoice: Invoice) -> None:
        with unit_of_work():
            collecting.claim(invoice.id, "nexudus")

        with pytest.raises(Conflict, match="somebody else"), unit_of_work():
            collecting.mark_paid_by_hand(invoice, PaidBy.CASH)
        assert invoice.status == "pending"

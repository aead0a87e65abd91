from collections.abc import Callable

import pytest

from app import clock
from app.accounts.models import User
from app.billing import customers, life, plans, recipients
from app.billing.life import Terms
from app.billing.life_models import Recipient, Standing
from app.billing.models import Customer, CustomerStatus
from app.billing.plans import PlanDetails
from app.billing.recipients import Known, RecipientDetails
from app.billing.subscription_models import Cycle
from app.db import db, unit_of_work
from app.errors import InvalidInput
from app.money import Money
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example", status=CustomerStatus.INACTIVE)


def take_plan(cast: Cast, customer: Customer, recipient: str = "4.50") -> None:
    with unit_of_work():
        plan = plans.add(cast.acme, PlanDetails(f"Business {recipient}", "business", "39", recipient=recipient))
        row = customers.locked(cast.acme, customer.id)
        terms = Terms(plan, Cycle.MONTHLY, clock.today("Europe/Lisbon"))
        move = life.change_plan if row.status == CustomerStatus.ACTIVE else life.activate
        move(row, terms)


def add(customer: Customer, name: str = "Lena Yarrow", standing: str = "free", emails: str = "") -> Recipient:
    with unit_of_work() as session:
        return recipients.add(session.get_one(Customer, customer.id), RecipientDetails(name, standing, emails))


def edit(row: Recipient, name: str = "Lena Yarrow", standing: str = "free", emails: str = "") -> bool:
    with unit_of_work() as session:
        return recipients.edit(session.get_one(Recipient, row.id), RecipientDetails(name, standing, emails))


def test_a_paid_one_keeps_the_price_of_the_day(cast: Cast, tamsin: Customer) -> None:
    take_plan(cast, tamsin, "4.50")
    lena = add(tamsin, standing="paid")

    take_plan(cast, tamsin, "6.00")
    add(tamsin, "Later", "paid")
    add(tamsin, "Free", "free")

    assert [(one.name, one.price) for one in recipients.paid_of(tamsin)] == [
        ("Lena Yarrow", Money(450, "EUR")),
        ("Later", Money(600, "EUR")),
    ]
    assert edit(lena, standing="inactive")
    assert (lena.price_minor, recipients.count(tamsin)) == (0, 2)


def test_paid_without_a_plan_is_refused_at_the_field(tamsin: Customer) -> None:
    with pytest.raises(InvalidInput, match="Choose a plan first") as refused:
        add(tamsin, standing="paid")

    assert refused.value.field == "standing"
    assert recipients.of(tamsin) == []


def test_emails_are_tidied_kept_once_and_announced(cast: Cast, tamsin: Customer, bell: HeardBell) -> None:
    make.installation(cast.acme, "example")

    row = add(tamsin, emails=" Lena@Yarrow.example,lena@YARROW.example;  l@bücher.example ")

    assert [(one.email, one.email_key) for one in row.emails] == [
        ("Lena@yarrow.example", "lena@yarrow.example"),
        ("l@bücher.example", "l@bücher.example"),
    ]
    assert [ring[0] for ring in bell.rings] == ["example.greet"]
    assert recipients.known(cast.acme.id, ["lena@yarrow.example"]) == [
        Known("lena@yarrow.example", tamsin.id, "Lena Yarrow")
    ]
    assert recipients.known(cast.zenith.id, ["lena@yarrow.example"]) == []


@pytest.mark.parametrize(
    ("emails", "sentence"),
    [
        ("nobody", "is not an email address"),
        ("TAMSIN@quill.example", "is the email of Tamsin Quill already"),
        ("taken@yarrow.example", "is the email of Otto already"),
        (" ".join(f"{one}@yarrow.example" for one in range(6)), "at most 5 emails"),
    ],
)
def test_an_email_that_cannot_be_is_refused_and_nothing_is_kept(tamsin: Customer, emails: str, sentence: str) -> None:
    add(tamsin, "Otto", emails="taken@yarrow.example")

    with pytest.raises(InvalidInput, match=sentence):
        add(tamsin, emails=emails)
    assert [one.name for one in recipients.of(tamsin)] == ["Otto"]


def test_an_email_taken_away_is_free_again(tamsin: Customer) -> None:
    row = add(tamsin, emails="lena@yarrow.example, second@yarrow.example")

    assert edit(row, emails="second@yarrow.example")
    assert not edit(row, emails="second@yarrow.example")
    assert add(tamsin, "Otto", emails="lena@yarrow.example").id


class TestPages:
    @pytest.fixture
    def ben(self, cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
        return sign_in(cast.ben)

    def test_added_on_a_dialog_and_shown_on_the_record(self, ben: Visitor, tamsin: Customer) -> None:
        path = f"/acme/customers/{tamsin.id}/recipients"
        assert "Nobody else receives mail here" in ben.get(path).text

        answer = ben.post(f"{path}/new", data={"name": "Lena", "emails": "lena@yarrow.example", "standing": "free"})

        assert answer.location == path
        page = ben.get(path).text
        assert "Lena receives mail here." in page
        assert "lena@yarrow.example" in page

    def test_what_was_typed_stays_when_it_is_refused(self, ben: Visitor, tamsin: Customer) -> None:
        answer = ben.post(
            f"/acme/customers/{tamsin.id}/recipients/new", data={"name": "Lena", "emails": "no", "standing": "paid"}
        )

        assert answer.status_code == 422
        assert "“no” is not an email address." in answer.text
        assert 'value="Lena"' in answer.text

    def test_changed_and_put_to_rest(self, ben: Visitor, tamsin: Customer) -> None:
        row = add(tamsin)

        ben.post(f"/acme/customers/{tamsin.id}/recipients/{row.id}", data={"name": "Lena Y.", "standing": "inactive"})

        db.session.refresh(row)
        assert (row.name, row.standing) == ("Lena Y.", Standing.INACTIVE)

    def test_another_customers_recipient_is_not_found(self, ben: Visitor, cast: Cast, tamsin: Customer) -> None:
        theirs = add(make.customer(cast.zenith, "Canary Bird"))

        for path in (f"{tamsin.id}/recipients/{theirs.id}", f"{theirs.customer_id}/recipients/{theirs.id}"):
            assert ben.get(f"/acme/customers/{path}").status_code == 404


def test_the_day_of_a_price_is_the_day_it_became_paid(cast: Cast, tamsin: Customer) -> None:
    row = add(tamsin)
    take_plan(cast, tamsin, "4.50")

    edit(row, standing="paid")

    assert row.price == Money(450, "EUR")

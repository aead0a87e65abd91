"""Forms of the portal. What can be taken is decided by the services; their sentence goes to its field."""

from collections.abc import Sequence
from typing import Any

from wtforms import Field, PasswordField, RadioField, SelectField, StringField, ValidationError
from wtforms.validators import InputRequired, Length, Optional

from app.accounts.services import COUNTRIES
from app.accounts.signing_in import LONGEST_PASSWORD, SHORTEST_PASSWORD
from app.billing.customers import Details
from app.billing.forms import OfficeForm
from app.billing.models import Customer
from app.meanwhile import SharedForm
from app.typed import problem_of

EMAIL_CHARACTERS = 254


class EmailForm(OfficeForm):
    email = StringField("Email", [InputRequired("Type your email.")])

    def validate_email(self, field: Field) -> None:
        problem = problem_of(field.data or "", EMAIL_CHARACTERS)
        if problem:
            raise ValidationError(problem)


class SignInForm(EmailForm):
    password = PasswordField("Password", [InputRequired("Type your password."), Length(max=LONGEST_PASSWORD)])


class PasswordForm(OfficeForm):
    password = PasswordField(
        "New password",
        [InputRequired("Type a password.")],
        description=f"At least {SHORTEST_PASSWORD} characters. A few words in a row are easy to keep in mind.",
    )


class ChangePasswordForm(PasswordForm):
    present = PasswordField("Present password", [InputRequired("Type your present password."), Length(max=128)])


class ContactForm(OfficeForm):
    """What customers say about themselves; location and mailbox number are the account's to say."""

    full_name = StringField("Name")
    company = StringField("Company", [Optional()])
    email = StringField("Email", description="You sign in with it, and invoices go there.")
    phone = StringField("Telephone", [Optional()])
    address = StringField("Street and number", [Optional()])
    postcode = StringField("Postcode", [Optional()])
    city = StringField("City", [Optional()])
    country = SelectField("Country", [Optional()])

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        names = sorted(COUNTRIES.items(), key=lambda country: country[1])
        self.country.choices = [("", "As the location"), *names]

    def details(self, location_id: int, mailbox_number: str | None) -> Details:
        """What was typed, with what only staff may change as it is."""
        texts = {name: self[name].data or "" for name in Details.text_names() if name in self}
        return Details(location_id=location_id, mailbox_number=mailbox_number or "", **texts)

    def details_of(self, customer: Customer) -> Details:
        """What was typed, for a customer who is there already."""
        return self.details(customer.location_id, customer.mailbox_number)

    def validate(self, extra_validators: Any = None) -> bool:
        valid: bool = super().validate(extra_validators)
        for name, sentence in self.details(0, None).problems().items():
            self[name].errors = [sentence]
            valid = False
        return valid


class OwnContactForm(SharedForm, ContactForm):
    """The contact data of a customer who is there, which staff may change as well."""

    @classmethod
    def shown(cls, customer: Customer) -> dict[str, Any]:
        """What stands in the form of a customer."""
        return {name: getattr(customer, name) for name in Details.text_names() if hasattr(cls, name)}


class SignUpForm(ContactForm):
    """The contact data of somebody new, the plan, and where. `website` is seen by programs alone, which fill it."""

    offer = RadioField("Plan", [InputRequired("Choose a plan.")])
    location_id = SelectField("Location", coerce=int)
    website = StringField("Leave this empty", [Optional()])

    def __init__(self, places: Sequence[tuple[int, str]], offers: Sequence[tuple[str, str]], **values: Any) -> None:
        super().__init__(**values)
        self.offer.choices = list(offers)
        self.location_id.choices = list(places)
        self.email.description = "We send a link there; you sign in with it later."

    @property
    def was_filled_by_a_program(self) -> bool:
        return bool(self.website.data)

"""Forms for customers and invoices. What can be taken is decided by the services; their sentence goes to its field."""

from typing import Any

from flask_wtf import FlaskForm
from wtforms import DateField, FieldList, Form, FormField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import Optional

from app.accounts.models import Account
from app.accounts.services import COUNTRIES
from app.billing.collecting import PaidBy
from app.billing.customers import Details
from app.billing.lines import MOST_LINES, Discount, Line, as_written, discount_of
from app.billing.models import Customer, Invoice
from app.errors import AppError, InvalidInput
from app.meanwhile import SharedForm
from app.money import Money
from app.typed import plain


class OfficeForm(FlaskForm):
    """A form that a service may refuse after its own checks."""

    def blame(self, error: AppError) -> None:
        """Put the service's sentence beside the field it names, or above the form."""
        field = self._fields.get(getattr(error, "field", None) or "")
        if field is None:
            self.form_errors.append(error.sentence)
        else:
            field.errors = [*field.errors, error.sentence]


class CustomerForm(SharedForm, OfficeForm):
    full_name = StringField("Name")
    company = StringField("Company", [Optional()])
    email = StringField("Email")
    phone = StringField("Telephone", [Optional()])
    address = StringField("Street and number", [Optional()])
    postcode = StringField("Postcode", [Optional()])
    city = StringField("City", [Optional()])
    country = SelectField("Country", [Optional()])
    location_id = SelectField("Location", coerce=int)
    mailbox_number = StringField("Mailbox number", [Optional()])

    def __init__(self, account: Account, **values: Any) -> None:
        super().__init__(**values)
        self.location_id.choices = [(location.id, location.name) for location in account.locations]
        names = sorted(COUNTRIES.items(), key=lambda country: country[1])
        self.country.choices = [("", "As the location"), *names]

    @classmethod
    def shown(cls, customer: Customer) -> dict[str, Any]:
        """What stands in the form of a customer."""
        return {name: getattr(customer, name) for name in ("location_id", *Details.text_names())}

    def details(self) -> Details:
        """What was typed."""
        texts = {name: self[name].data or "" for name in Details.text_names()}
        return Details(location_id=self.location_id.data, **texts)

    def validate(self, extra_validators: Any = None) -> bool:
        valid: bool = super().validate(extra_validators)
        for name, sentence in self.details().problems().items():
            self[name].errors = [sentence]
            valid = False
        return valid


class LineForm(Form):
    """One line inside an invoice form; the CSRF token is the form's."""

    description = StringField("What is billed")
    quantity = StringField("Quantity", default="1")
    unit_price = StringField("Price")
    discount = StringField("Discount", [Optional()])
    tax_rate = StringField("Tax %", default="0")

    @property
    def is_blank(self) -> bool:
        return not (self.description.data or "").strip() and not (self.unit_price.data or "").strip()

    def read(self, currency: str) -> Line:
        """The line as typed; raises `InvalidInput` for the field that cannot be taken."""
        return Line.read(
            self.description.data or "",
            self.quantity.data or "",
            self.unit_price.data or "",
            self.tax_rate.data or "",
            currency,
            self.discount.data or "",
        )


class AddLineForm(LineForm, OfficeForm):
    """One more line for an invoice that exists."""


class InvoiceForm(SharedForm, OfficeForm):
    lines = FieldList(FormField(LineForm), min_entries=1, max_entries=MOST_LINES)
    discount = StringField("Discount on the whole", [Optional()])
    due_on = DateField("Due", [Optional()])
    note = TextAreaField("Note to the customer", [Optional()])

    @classmethod
    def shown(cls, invoice: Invoice) -> dict[str, Any]:
        """What stands on a draft, as it would be typed."""
        lines = [
            {
                "description": one.description,
                "quantity": plain(one.quantity),
                "unit_price": Money(one.unit_minor, invoice.currency).typed,
                "discount": one.discount.typed(invoice.currency),
                "tax_rate": plain(one.tax_rate),
            }
            for one in as_written(invoice)
        ]
        discount = discount_of(invoice).typed(invoice.currency)
        return {"lines": lines, "discount": discount, "due_on": invoice.due_on, "note": invoice.note}

    def add_line(self) -> None:
        """Room for another line, as the "Add a line" button asks."""
        if len(self.lines.entries) < MOST_LINES:
            last = self.lines.entries[-1].form
            self.lines.append_entry({"quantity": "1", "tax_rate": last.tax_rate.data})

    def remove_line(self, index: int) -> None:
        """Take a line away; one always stays."""
        kept = [entry.data for number, entry in enumerate(self.lines.entries) if number != index]
        while self.lines.entries:
            self.lines.pop_entry()
        for values in kept or [{}]:
            self.lines.append_entry(values)

    def read_lines(self, currency: str) -> list[Line] | None:
        """The lines as typed, wholly blank ones left out; None when a field cannot be taken, which then says why."""
        filled = [entry.form for entry in self.lines.entries if not entry.form.is_blank]
        read, wrong = [], False
        for form in filled or [self.lines.entries[0].form]:
            try:
                read.append(form.read(currency))
            except InvalidInput as error:
                form[error.field or "description"].errors = [error.sentence]
                wrong = True
        return None if wrong else read

    def read_discount(self, currency: str) -> Discount | None:
        """What is taken off the whole, as typed; None when it cannot be taken, and the field says why."""
        try:
            return Discount.read(self.discount.data or "", currency)
        except InvalidInput as error:
            self.discount.errors = [error.sentence]
            return None


class DiscountForm(OfficeForm):
    discount = StringField("Discount on the whole", [Optional()], description="Such as 10% or 5.00. Empty: none.")


class VoidForm(OfficeForm):
    reason = StringField("Reason", description="The customer does not see it.")


class PaidForm(OfficeForm):
    how = RadioField(
        "How",
        choices=[one.value for one in PaidBy],  # type: ignore[misc]  # the stubs know no plain words yet
        default=PaidBy.TRANSFER.value,
    )
    note = StringField("Note", [Optional()], description="A reference, or who took the money.")

"""The plugin's forms. The settings and the services decide what can be taken; their sentence goes to its field."""

from typing import Any

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    Field,
    Form,
    FormField,
    HiddenField,
    IntegerField,
    PasswordField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Optional

from app.accounts.models import Account
from app.errors import AppError
from plugins.mail_monitor import presets
from plugins.mail_monitor.models import DeletePolicy, Encryption
from plugins.mail_monitor.settings import AccountSettings, ServerSettings

# Any: the types of WTForms know choices as tuples only, which WTForms 3.3 warns about.
ENCRYPTIONS: dict[str, Any] = {one.value: one.label for one in Encryption}
DELETIONS: dict[str, Any] = {one.value: one.label for one in DeletePolicy}
PROVIDERS: dict[str, Any] = {
    presets.OTHER: "Another provider",
    **{preset.key: preset.title for preset in presets.PRESETS},
}


class NumberField(IntegerField):
    """A whole number; whatever else is typed counts as 0, for which the settings have a sentence of their own."""

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist:
            text = valuelist[0].strip()
            self.data = int(text) if text.isdecimal() and len(text) < 10 else 0


class IncomingForm(Form):
    """The server that is watched; part of `EmailAccountForm`, whose token guards it."""

    host = StringField("Server", description="Such as imap.example.com.")
    port = NumberField("Port", default=993)
    encryption = SelectField("Encryption", choices=ENCRYPTIONS, default=Encryption.TLS.value)
    user = StringField("User", description="Often the whole email address.")
    password = PasswordField("Password", description="Kept encrypted. It can be replaced, never read.")
    delete = SelectField(
        "Delete on the server",
        choices=DELETIONS,
        default=DeletePolicy.NEVER.value,
        description="Only filed messages are ever deleted, and never before they are stored here.",
    )
    agreed = BooleanField("Deleting in the mailbox")

    def read(self) -> ServerSettings:
        return ServerSettings(
            self.host.data or "",
            self.port.data or 0,
            self.encryption.data,
            self.user.data or "",
            self.password.data or "",
        )


class OutgoingForm(Form):
    """The server that sends answers."""

    host = StringField("Server", [Optional()], description="Such as smtp.example.com. Needed to watch.")
    port = NumberField("Port", default=465)
    encryption = SelectField("Encryption", choices=ENCRYPTIONS, default=Encryption.TLS.value)
    user = StringField("User", [Optional()], description="Empty: the same as incoming.")
    password = PasswordField("Password", [Optional()], description="Empty: the same as incoming.")
    reply_to = EmailField("Reply-to", [Optional()], description="Where customers' answers go, if not to this address.")

    def read(self) -> ServerSettings:
        host = self.host.data or ""
        return ServerSettings(
            host,
            (self.port.data or 0) if host else 0,
            self.encryption.data,
            self.user.data or "",
            self.password.data or "",
        )


class EmailAccountForm(FlaskForm):
    """One email account with everything about it."""

    email_address = EmailField("Email address", description="The address that is watched.")
    display_name = StringField("Display name", description="Customers see this as the sender of your answers.")
    location_id = SelectField(
        "Location",
        coerce=int,
        description="Decides who signs (its address, unless there is a signature), the time zone shown, and which "
        "Operators are told. It does not decide whose mail is filed.",
    )
    active = BooleanField("Active", description="Off keeps everything and stops scanning.")
    provider = SelectField("Provider", choices=PROVIDERS, description="A known provider brings its servers along.")
    # The address that brought the provider along, so that another address may take it away again.
    brought_by = HiddenField()
    incoming = FormField(IncomingForm, "Incoming")
    outgoing = FormField(OutgoingForm, "Outgoing")
    send_notifications = BooleanField("Send notifications", description="Once per newly filed message of a customer.")
    notification_email_address = EmailField(
        "Notification address",
        [Optional()],
        description="Empty: the Operators of the location. Never a watched address, or mail would loop.",
    )
    interval_minutes = NumberField("Scan every", default=15, description="Minutes between two scans, 1 to 60.")
    signature = TextAreaField(
        "Signature", [Optional()], description="Stands below every answer. Empty: name and address of the location."
    )
    largest_mb = NumberField(
        "Largest message, MB", default=25, description="Larger ones are filed without attachments."
    )
    daily_mb = NumberField(
        "MB a day", default=1024, description="Then it rests until tomorrow; providers block earlier."
    )
    daily_messages = NumberField("Messages a day", default=20_000, description="Then it rests until tomorrow.")
    relays = TextAreaField(
        "Web forms and relays",
        [Optional()],
        description="One address per line. Only for mail from these the Reply-To says who wrote.",
    )
    results_server = StringField(
        "Sender checks by",
        [Optional()],
        description="Whose Authentication-Results are believed. Empty: what the provider is known for.",
    )

    def __init__(self, account: Account, **values: Any) -> None:
        super().__init__(**values)
        self.location_id.choices = [(location.id, location.name) for location in account.locations]
        if self.location_id.data is None and account.locations:
            self.location_id.data = account.locations[0].id

    @classmethod
    def filled(cls, account: Account, settings: AccountSettings) -> "EmailAccountForm":
        """The form as `settings` say; passwords are never drawn."""
        values = settings.without_passwords()
        values["incoming"]["delete"], values["outgoing"]["reply_to"] = settings.delete, settings.reply_to
        values["relays"] = "\n".join(settings.relays)
        return cls(account, data=values)

    def read(self) -> AccountSettings:
        """What was typed."""
        return AccountSettings(
            display_name=self.display_name.data or "",
            location_id=self.location_id.data or 0,
            email_address=self.email_address.data or "",
            active=bool(self.active.data),
            notification_email_address=self.notification_email_address.data or "",
            send_notifications=bool(self.send_notifications.data),
            provider=self.provider.data or "",
            incoming=self.incoming.form.read(),
            delete=self.incoming.form.delete.data,
            outgoing=self.outgoing.form.read(),
            reply_to=self.outgoing.form.reply_to.data or "",
            interval_minutes=self.interval_minutes.data or 0,
            signature=(self.signature.data or "").replace("\r\n", "\n"),
            largest_mb=self.largest_mb.data or 0,
            daily_mb=self.daily_mb.data or 0,
            daily_messages=self.daily_messages.data or 0,
            relays=tuple((self.relays.data or "").split()),
            results_server=self.results_server.data or "",
        ).tidied()

    def blame(self, name: str, sentence: str) -> None:
        """Put a sentence beside the field it is about ("incoming-port"), or above the form."""
        side, _, inner = name.partition("-")
        field: Field | None = self._fields.get(side)
        if isinstance(field, FormField):
            field = field.form._fields.get(inner)  # WTForms has no public look-up by name
        if field is None:
            self.form_errors.append(sentence)
        else:
            field.errors = [*field.errors, sentence]

    def blame_error(self, error: AppError) -> None:
        """The same for what a service refused."""
        self.blame(getattr(error, "field", None) or "", error.sentence)


class FindForm(FlaskForm):
    """What a person remembers of a message; one of the three is enough."""

    sender = StringField("Sender", [Optional()], description="A name or an address, or a part of one.")
    subject = StringField("Subject", [Optional()], description="Words of it, in any order.")
    day = DateField("Day", [Optional()], description="When it came. Without a day: the last 30.")

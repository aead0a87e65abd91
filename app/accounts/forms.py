"""Forms for signing in, for staff, and for passwords."""

from collections.abc import Sequence

from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, SelectField, StringField, ValidationError
from wtforms.validators import InputRequired, Length

from app.access import Role
from app.accounts.models import Location
from app.accounts.signing_in import LONGEST_PASSWORD, SHORTEST_PASSWORD
from app.accounts.staff import may_manage
from app.typed import problem_of


class SignInForm(FlaskForm):
    email = StringField("Email", [InputRequired("Type your email.")])
    password = PasswordField("Password", [InputRequired("Type your password."), Length(max=128)])

    def validate_email(self, field: Field) -> None:
        problem = problem_of(field.data or "", 254)
        if problem:
            raise ValidationError(problem)


class EmailForm(FlaskForm):
    email = StringField("Email", [InputRequired("Type an email.")])

    def validate_email(self, field: Field) -> None:
        problem = problem_of(field.data or "", 254)
        if problem:
            raise ValidationError(problem)


class ResetForm(EmailForm):
    """Asks for a link that sets a new password."""


class RoleForm(FlaskForm):
    role = SelectField("Role")

    def __init__(self, mine: Role, now: Role | None = None) -> None:
        """Offers the roles that somebody with the role `mine` may give."""
        super().__init__(data={"role": (now or Role.MAIL_ADMIN).value})
        self.role.choices = [(one.value, one.label) for one in Role if may_manage(mine, one)]


class ToldForm(FlaskForm):
    """Of which location's mail an Operator is told."""

    location = SelectField("Told about mail of", coerce=int)

    def __init__(self, locations: Sequence[Location], now: int | None) -> None:
        super().__init__(data={"location": now or 0})
        self.location.choices = [(0, "All locations"), *((one.id, one.name) for one in locations)]


class InviteForm(RoleForm, EmailForm):
    """Whom to invite, and as what."""


class NewPasswordForm(FlaskForm):
    password = PasswordField(
        "New password",
        [
            InputRequired("Type a password."),
            Length(
                SHORTEST_PASSWORD,
                LONGEST_PASSWORD,
                f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.",
            ),
        ],
        description=f"At least {SHORTEST_PASSWORD} characters; a sentence is fine.",
    )


class JoinForm(NewPasswordForm):
    full_name = StringField("Your name", [InputRequired("Type your name.")])

    def validate_full_name(self, field: Field) -> None:
        problem = problem_of(field.data or "", 120)
        if problem:
            raise ValidationError(problem)


class CodeForm(FlaskForm):
    code = StringField("Code", [InputRequired("Type the code."), Length(max=40)])


class NameForm(FlaskForm):
    full_name = StringField("Your name", [InputRequired("Type your name.")])


class OwnPasswordForm(FlaskForm):
    """What asks for the password once more, because it changes the sign-in itself."""

    current = PasswordField("Your present password", [InputRequired("Type your present password."), Length(max=128)])


class ChangePasswordForm(OwnPasswordForm, NewPasswordForm):
    """The present password and the new one."""

"""Forms for signing in."""

from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, StringField, ValidationError
from wtforms.validators import InputRequired, Length

from app.typed import problem_of


class SignInForm(FlaskForm):
    email = StringField("Email", [InputRequired("Type your email.")])
    password = PasswordField("Password", [InputRequired("Type your password."), Length(max=128)])

    def validate_email(self, field: Field) -> None:
        problem = problem_of(field.data or "", 254)
        if problem:
            raise ValidationError(problem)

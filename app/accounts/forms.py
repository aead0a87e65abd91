"""Forms for signing in."""

from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length


class SignInForm(FlaskForm):
    email = StringField("Email", [InputRequired("Type your email."), Length(max=254)])
    password = PasswordField("Password", [InputRequired("Type your password."), Length(max=128)])

"""The error tree: what went wrong, named by what happens next, with a sentence for people and details for the log."""

from datetime import datetime
from typing import Any


class AppError(Exception):
    """Something a person can be told. `sentence` is shown as it is; `details` go to the log only."""

    status = 500
    title = "Something broke on our side"

    def __init__(self, sentence: str, **details: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.details = details


class NotFound(AppError):
    """Not there, or not theirs: the two look the same from outside."""

    status = 404
    title = "Not found"

    def __init__(self, sentence: str = "There is nothing at this address.", **details: Any) -> None:
        super().__init__(sentence, **details)


class Forbidden(AppError):
    """Signed in, but this role may not."""

    status = 403
    title = "Not for this role"


class InvalidInput(AppError):
    """What was typed cannot be taken; `field` names the form field to blame, when there is one."""

    status = 422
    title = "That cannot be taken"

    def __init__(self, sentence: str, field: str | None = None, **details: Any) -> None:
        super().__init__(sentence, **details)
        self.field = field


class Conflict(AppError):
    """Possible a moment ago, not now: somebody or something was faster."""

    status = 409
    title = "That changed meanwhile"


class TooManyTries(AppError):
    """Wait: too many attempts from here."""

    status = 429
    title = "Too many tries"


class Outside(AppError):
    """Another system's answer, or the lack of one. The five subclasses say what to do next."""

    status = 503
    title = "The other side does not answer"


class NotSent(Outside):
    """Nothing left this machine, or a read failed: wait and try again."""


class OutcomeUnknown(Outside):
    """A write that may have worked: look it up, never repeat it blindly."""


class Refused(Outside):
    """They said no, and why: a person decides. `code` is a short reason for grouping."""

    def __init__(self, sentence: str, code: str = "refused", **details: Any) -> None:
        super().__init__(sentence, **details)
        self.code = code


class SignInNeeded(Outside):
    """Token, password, one-time code or a right is missing: a person signs in again. `code` says which."""

    def __init__(self, sentence: str, code: str = "sign_in", **details: Any) -> None:
        super().__init__(sentence, **details)
        self.code = code


class Capped(Outside):
    """Throttled, or a daily cap: not executed; wait until `until` (aware UTC) without holding a worker."""

    def __init__(self, sentence: str, until: datetime, **details: Any) -> None:
        super().__init__(sentence, **details)
        self.until = until

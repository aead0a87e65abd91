"""What mail servers say when they say no, and what it means: wait, sign in anew, or ask somebody."""

import re
from datetime import timedelta

from app import clock
from app.errors import Capped, NotSent, Outside, Refused, SignInNeeded

# Exchange: "Request is throttled. Suggested Backoff Time: 299910 milliseconds"
_BACK_OFF = re.compile(r"backoff time: *(\d{1,9}) *milliseconds", re.IGNORECASE)
_USED_UP = re.compile(r"\[OVERQUOTA\]|bandwidth limit|exceeded command", re.IGNORECASE)
_THROTTLED = re.compile(r"throttl|\[LIMIT\]|too many|maximum number of connections|rate limit", re.IGNORECASE)
_TEMPORARY = re.compile(
    r"\[(?:UNAVAILABLE|INUSE|SERVERBUG)\]|temporar|try again|internal (?:server )?error", re.IGNORECASE
)
_CLOSED = re.compile(
    r"authenticated but not connected|not enabled for imap|imap (?:access )?(?:is )?(?:disabled|not enabled|blocked)|"
    r"disabled for (?:this|your)|licen[sc]e|basic authentication is (?:disabled|blocked)|\[CLOSED\]",
    re.IGNORECASE,
)
_APP_PASSWORD = re.compile(r"app(?:lication)?[- ]specific|app password|web login required|\[WEBALERT", re.IGNORECASE)

USED_UP_PAUSE = timedelta(hours=4)
THROTTLED_PAUSE = timedelta(minutes=30)
LONGEST_PAUSE = timedelta(hours=24)


def about_waiting(answer: str) -> Capped | None:
    """The pause that an answer asks for, if it asks for one."""
    found = _BACK_OFF.search(answer)
    if found:
        pause = min(timedelta(milliseconds=int(found[1])), LONGEST_PAUSE)
    elif _USED_UP.search(answer):
        pause = USED_UP_PAUSE
    elif _THROTTLED.search(answer):
        pause = THROTTLED_PAUSE
    else:
        return None
    minutes = max(1, round(pause.total_seconds() / 60))
    words = f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"
    return Capped(f"The provider asked us to wait {words}. Nothing for you to do.", until=clock.now() + pause)


def about_sign_in(answer: str) -> Outside:
    """Why a sign-in was refused, from what the server said."""
    waiting = about_waiting(answer)
    if waiting:
        return waiting
    if _TEMPORARY.search(answer) and "AUTHENTICATIONFAILED" not in answer:
        return NotSent("The server cannot take the sign-in right now. We try again on our own.", answer=answer[:200])
    if _CLOSED.search(answer):
        return SignInNeeded(
            "User and password are known, but the mailbox may not be opened this way. Switch on IMAP for it at the "
            "provider, or ask whoever looks after the mailbox there.",
            code="closed",
            answer=answer[:200],
        )
    if _APP_PASSWORD.search(answer):
        return SignInNeeded(
            "The normal password does not work here. Create an app password at the provider and type that one.",
            code="app_password",
            answer=answer[:200],
        )
    return SignInNeeded(
        "The server does not accept this user and password. Check both by signing in at the provider.",
        code="credentials",
        answer=answer[:200],
    )


def about_folder(name: str, answer: str) -> Outside:
    """Why a folder could not be opened."""
    waiting = about_waiting(answer)
    if waiting:
        return waiting
    if _CLOSED.search(answer):
        return about_sign_in(answer)
    if _TEMPORARY.search(answer):
        return NotSent(f"The folder {name} cannot be opened right now.", answer=answer[:200])
    return Refused(
        f"The folder {name} is not there any more, or may not be opened. Was it renamed?",
        code="folder",
        answer=answer[:200],
    )

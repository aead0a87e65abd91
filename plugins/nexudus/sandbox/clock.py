"""What time it is in the sandbox, and how Nexudus writes it."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251  # the sandbox shares no code with the product, its clock included


def written(moment: datetime) -> str:
    """A moment as Nexudus writes it: UTC, to the second, with a Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def read(text: str) -> datetime:
    """A moment as others write it; one without a zone is UTC. `ValueError` when it is none."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

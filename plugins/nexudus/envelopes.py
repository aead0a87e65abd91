"""What Nexudus wraps its records in: pages of lists, answers to writes, tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, Field

from plugins.nexudus.payloads import Record, Shape, Text


class ListAnswer(Shape):
    """The envelope of a list. The newest documentation shows `TotalPages`; it is not relied upon."""

    records: tuple[dict[str, Any], ...]
    total_items: int = 0
    total_pages: int | None = None


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One page of a list. Rows may shift between pages while somebody edits: compare ids, not positions."""

    records: tuple[R, ...]
    number: int
    pages: int
    total: int

    @property
    def is_last(self) -> bool:
        return not self.records or self.number >= self.pages

    def __iter__(self) -> Iterator[R]:
        return iter(self.records)


class Complaint(Shape):
    """One entry of `Errors`. `property_name` may name the relation ("Country") instead of the field."""

    message: Text = ""
    property_name: Text = ""


class MutationAnswer(Shape):
    """The envelope of every write. HTTP 200 is not success; `was_successful` is."""

    was_successful: bool
    message: Text = ""
    value: Any = None
    errors: Annotated[
        tuple[Complaint, ...], BeforeValidator(lambda value: value if isinstance(value, list) else ())
    ] = ()


class TokenAnswer(BaseModel):
    """https://developers.nexudus.com/reference/get-bearer-token, the one answer that is not in pascal case."""

    access_token: str = Field(min_length=1)
    refresh_token: str = Field(min_length=1)
    expires_in: int = Field(gt=0, le=10**9)

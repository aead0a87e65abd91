"""What nobody types into the popup is told at its field, on both databases."""

import pytest

from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests.plugins.nexudus.conftest import There
from tests.visitors import Visitor

TYPED = {"email": EMAIL, "password": PASSWORD, "issue": "draft", "may_add_products": "y"}


@pytest.mark.parametrize("text", ["x" * 10_000, "a\0b", "Quill \u202eellimaT"], ids=["10 kB", "NUL", "right to left"])
def test_what_nobody_types_is_told_at_its_field(ana: Visitor, there: There, text: str) -> None:
    for field in ("email", "password", "totp", "issue"):
        answer = ana.post("/acme/nexudus/connect", data={**TYPED, field: text})
        assert answer.status_code < 500, field

"""A plugin that fails takes no page of the host down, whichever place of the contract it fails in."""

from collections.abc import Callable

import pytest

from app.accounts.models import User
from app.installations.models import InstallationState
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor


@pytest.mark.parametrize("page", ["/acme/customers", "/acme/invoices", "/acme/problems", "/acme/today"])
def test_a_list_is_shown_without_its_column_and_the_menu_without_its_count(
    cast: Cast, sign_in: Callable[[User], Visitor], page: str
) -> None:
    invoice = make.invoice(make.customer(cast.acme, "Tamsin Quill"))
    make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="breaks the list")
    answer = sign_in(cast.ana).get(page)
    assert answer.status_code == 200
    assert 'id="rail"' in answer.text
    assert "Things" in answer.text
    assert page != "/acme/invoices" or invoice.number in answer.text
    assert page != "/acme/customers" or "Tamsin Quill" in answer.text

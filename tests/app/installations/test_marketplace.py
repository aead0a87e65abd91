from collections.abc import Callable

import pytest

from app.access import Role
from app.accounts.models import User
from app.installations.models import InstallationState
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor


@pytest.mark.parametrize("role", list(Role))
def test_the_plus_stands_on_every_page_of_the_staff(sign_in: Callable[[User], Visitor], cast: Cast, role: Role) -> None:
    visitor = sign_in(cast.staff[role])
    pages = ["/acme/", "/acme/marketplace", "/acme/nothing-here"]
    if role != Role.MAIL_ADMIN:
        pages += ["/acme/customers", "/acme/invoices", "/acme/settings", "/acme/settings/integrations"]

    for path in pages:
        page = visitor.get(path, follow_redirects=True).text
        assert 'aria-label="Marketplace"' in page, path
        assert 'href="/acme/marketplace"' in page, path


def test_the_shelf_says_what_each_plugin_does_and_how_it_stands(sign_in: Callable[[User], Visitor], cast: Cast) -> None:
    make.installation(cast.acme, "example")

    page = sign_in(cast.ana).get("/acme/marketplace").text

    for words in ("Example", "Shows what plugins can do.", "Connected", "3 of 5 things are fine."):
        assert words in page
    assert 'href="/acme/marketplace/example"' in page


def test_it_is_a_dialog_for_htmx_and_a_page_without(sign_in: Callable[[User], Visitor], cast: Cast) -> None:
    ana = sign_in(cast.ana)

    assert "<html" in ana.get("/acme/marketplace").text
    dialog = ana.get("/acme/marketplace", htmx=True, target="dialog").text
    assert "<html" not in dialog
    assert "sm-dialog-sheet" in dialog


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MAIL_ADMIN])
def test_others_read_who_can_set_it_up_and_get_no_button(
    sign_in: Callable[[User], Visitor], cast: Cast, role: Role
) -> None:
    visitor = sign_in(cast.staff[role])

    page = visitor.get("/acme/marketplace").text

    assert "Only an Operator can connect or change these." in page
    assert "At Acme that is Ana Alder." in page
    assert "/acme/marketplace/example" not in page
    assert visitor.get("/acme/marketplace/example").status_code == 403


def test_choosing_opens_the_very_block_of_systems(sign_in: Callable[[User], Visitor], cast: Cast) -> None:
    make.installation(cast.acme, "example", state=InstallationState.ON)
    ana = sign_in(cast.ana)

    dialog = ana.get("/acme/marketplace/example", htmx=True, target="dialog").text
    block = ana.get("/acme/settings/integrations/systems/example", htmx=True).text.strip()

    def without_tokens(html: str) -> list[str]:
        return [line.strip() for line in html.splitlines() if "csrf_token" not in line]

    assert block.startswith('<section class="sm-system" id="system-example"')
    assert "\n".join(without_tokens(block)) in "\n".join(without_tokens(dialog))


def test_a_plugin_that_does_not_exist_is_not_found(sign_in: Callable[[User], Visitor], cast: Cast) -> None:
    assert sign_in(cast.ana).get("/acme/marketplace/nothing").status_code == 404

import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.access import Role
from app.accounts.models import User
from app.audit import AuditEntry
from app.db import db
from app.installations.models import Installation, InstallationState
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor

SYSTEMS = "/acme/settings/integrations/systems"
TOGGLE = f"{SYSTEMS}/example/toggle"


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ana)


def state() -> str:
    """How the example plugin stands in Acme."""
    row = db.session.scalars(sa.select(Installation).where(Installation.plugin == "example")).one_or_none()
    return row.state if row else "never switched on"


class TestTheToggle:
    def test_on_is_stored_at_once_and_brings_connect(self, ana: Visitor) -> None:
        before = ana.get(SYSTEMS).text
        block = ana.post(TOGGLE, data={"on": "1"}, htmx=True).text

        assert "Connect…" not in before
        assert "Connect…" in block
        assert 'href="/acme/example/connect"' in block
        assert state() == "on"
        assert "Connect…" in ana.get(SYSTEMS).text, "a reload shows the same"

    def test_off_takes_connect_away(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example", state=InstallationState.ON)

        block = ana.post(TOGGLE, data={"on": "0"}, htmx=True).text

        assert "Connect…" not in block
        assert "Switching it on sends nothing." in block
        assert state() == "off"

    def test_the_menu_comes_along(self, ana: Visitor) -> None:
        on = ana.post(TOGGLE, data={"on": "1"}, htmx=True).text
        off = ana.post(TOGGLE, data={"on": "0"}, htmx=True).text

        assert 'id="rail"' in on
        assert 'hx-swap-oob="true"' in on
        assert "/acme/example/" in on
        assert "/acme/example/" not in off

    def test_the_menu_that_comes_along_stays_where_the_person_is(self, ana: Visitor) -> None:
        here = {"HX-Current-URL": "http://localhost/acme/invoices?status=paid"}

        menu = ana.post(TOGGLE, data={"on": "1"}, htmx=True, headers=here).text

        assert re.search(r'href="/acme/invoices" aria-current="page"', menu)

    def test_without_javascript_it_leads_back_to_its_block(self, ana: Visitor) -> None:
        answer = ana.post(TOGGLE, data={"on": "1"})

        assert (answer.status_code, answer.location) == (303, SYSTEMS)

    def test_what_would_be_lost_is_asked_about_first(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example")

        for htmx in (True, False):
            question = ana.post(TOGGLE, data={"on": "0"}, htmx=htmx)
            assert "Switch Example off?" in question.text
            assert "Example forgets its sign-in." in question.text
            assert ("<html" in question.text) is not htmx
        assert state() == "connected"

    def test_a_person_who_is_sure_switches_off(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example")

        answer = ana.post(TOGGLE, data={"on": "0", "sure": "1"}, htmx=True)

        assert answer.headers["HX-Redirect"] == SYSTEMS
        assert state() == "off"

    def test_while_it_is_off_the_plugins_pages_are_not_there(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example", state=InstallationState.OFF)

        assert ana.get("/acme/example/connect").status_code == 404
        assert ana.get("/acme/example/").status_code == 404

    @pytest.mark.parametrize("role", [Role.ADMIN, Role.MAIL_ADMIN])
    def test_only_operators_switch_and_a_try_is_audited(
        self, sign_in: Callable[[User], Visitor], cast: Cast, role: Role
    ) -> None:
        visitor = sign_in(cast.staff[role])

        answers = [visitor.get(SYSTEMS), visitor.post(TOGGLE, data={"on": "1"})]

        assert [answer.status_code for answer in answers] == [403, 403]
        assert "At Acme that is Ana Alder." in answers[0].text
        assert state() == "never switched on"
        refused = sa.select(sa.func.count()).select_from(AuditEntry).where(AuditEntry.action == "refused")
        assert db.session.scalar(refused) == 2


class TestTheBlock:
    def test_a_plugin_adds_its_own_part_while_it_is_on(self, ana: Visitor, cast: Cast) -> None:
        installation = make.installation(cast.acme, "example")

        page = ana.get(SYSTEMS).text

        assert f"Example says hello to Installation {installation.id}" in page
        assert "Connect…" not in page

    def test_what_needs_a_person_is_said_with_its_button(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="Example ended our sign-in.")

        page = ana.get(SYSTEMS).text

        assert "Example ended our sign-in." in page
        assert "Sign in again…" in page
        assert "Needs attention" in page

    def test_a_stopped_plugin_stands_above_every_page(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="Example ended our sign-in.")

        assert "Example ended our sign-in." in ana.get("/acme/invoices").text

    def test_asked_for_by_itself_it_is_a_piece_for_htmx_and_systems_without(self, ana: Visitor) -> None:
        assert ana.get(f"{SYSTEMS}/example", htmx=True).text.lstrip().startswith("<section")
        assert ana.get(f"{SYSTEMS}/example").location == f"{SYSTEMS}#system-example"


class TestBusinessSettings:
    def test_general_and_locations_show_the_account_and_its_places(self, ana: Visitor, cast: Cast) -> None:
        make.location(cast.acme, "Mill Lane", city="Lisboa")

        general, places = ana.get("/acme/settings").text, ana.get("/acme/settings/locations").text

        for words in ("Acme", "/acme/", "Europe/Lisbon", "EUR", "Portugal"):
            assert words in general
        for words in ("Mill Lane", "Lisboa"):
            assert words in places

    def test_an_admin_reads_who_can_open_systems(self, sign_in: Callable[[User], Visitor], cast: Cast) -> None:
        page = sign_in(cast.ben).get("/acme/settings/integrations").text

        assert "Only an Operator can connect or change these." in page
        assert SYSTEMS not in page

    def test_an_operator_is_led_to_systems(self, ana: Visitor) -> None:
        assert f'href="{SYSTEMS}"' in ana.get("/acme/settings/integrations").text

import pytest

from plugins.nexudus.sandbox.schema import ENTITIES
from tests.plugins.nexudus.sandbox.conftest import CHARGES, INVOICES, LINES, MEMBERS, Program, Start

COUNTRIES = "/api/sys/countries"
SETTINGS = "/api/sys/businesssettings"


def test_a_list_comes_in_pages_of_25_with_an_envelope(program: Program) -> None:
    page = program.get(COUNTRIES).json()
    assert len(page["Records"]) == page["PageSize"] == page["LastItem"] == 25
    assert (page["CurrentPage"], page["FirstItem"], page["HasPreviousPage"]) == (1, 1, False)
    assert page["HasNextPage"] is True
    last = program.get(COUNTRIES, page=page["TotalPages"]).json()
    assert last["HasNextPage"] is False
    assert last["LastItem"] == last["TotalItems"] == page["TotalItems"]


def test_a_page_holds_at_most_a_thousand_rows_and_one_behind_the_last_is_empty(program: Program) -> None:
    assert program.get(COUNTRIES, size=5000).json()["PageSize"] == 1000
    assert program.get(COUNTRIES, page=99).json()["Records"] == []


def test_every_page_together_is_the_whole_list_once(program: Program) -> None:
    seen = [one["Id"] for page in range(1, 20) for one in program.get(COUNTRIES, page=page, size=17).json()["Records"]]
    assert len(seen) == len(set(seen)) == program.get(COUNTRIES).json()["TotalItems"]


def test_rows_are_ordered_as_asked(program: Program) -> None:
    names = [one["Name"] for one in program.rows(COUNTRIES, orderby="name", dir="Descending")]
    assert names == sorted(names, key=str.casefold, reverse=True)


def test_an_unknown_filter_is_ignored_without_a_word(program: Program) -> None:
    everything = program.get(COUNTRIES).json()["TotalItems"]
    assert program.get(COUNTRIES, Country_Kode="GB").json()["TotalItems"] == everything


@pytest.mark.parametrize(
    ("path", "query", "record_id"),
    [
        (COUNTRIES, {"Country_TwoDigitsCode": "GB"}, 1220),
        ("/api/sys/currencies", {"Currency_Code": "EUR"}, 3003),
        ("/api/sys/currencies", {"currency_code": "GBP"}, 3005),
        ("/api/sys/simpletimezones", {"SimpleTimeZone_Name": "Europe/London"}, 2023),
        (COUNTRIES, {"Id": "1220"}, 1220),
    ],
)
def test_the_lookup_lists_are_full_and_filtered_by_code(
    program: Program, path: str, query: dict[str, str], record_id: int
) -> None:
    assert [one["Id"] for one in program.rows(path, **query)] == [record_id]


def test_filters_by_reference_and_through_it(program: Program) -> None:
    ada, bea = program.member(), program.member(FullName="Bea Example")
    mine, hers = (program.invoice_sales(program.sale(one))["Id"] for one in (ada, bea))
    assert [one["Id"] for one in program.rows(INVOICES, CoworkerInvoice_Coworker=ada)] == [mine]
    assert [one["Id"] for one in program.rows(INVOICES, CoworkerInvoice_Coworker_FullName="Bea Example")] == [hers]


def test_members_are_filtered_by_any_of_their_locations(program: Program) -> None:
    first, second = (one["Id"] for one in program.rows("/api/sys/businesses"))
    both, _ = program.member(Businesses=[first, second]), program.member()
    assert [one["Id"] for one in program.rows(MEMBERS, Coworker_Businesses=second)] == [both]
    assert program.rows(MEMBERS, Coworker_Businesses="everywhere") == []


def test_ranges_take_dates_and_numbers(program: Program) -> None:
    program.member(RegistrationDate="2026-01-10T00:00:00Z", FullName="early")
    program.member(RegistrationDate="2026-03-10T00:00:00Z", FullName="late")

    def names(**query: str) -> list[str]:
        return [one["FullName"] for one in program.rows(MEMBERS, **query)]

    assert names(from_Coworker_RegistrationDate="2026-02-01T00:00") == ["late"]
    assert names(to_Coworker_RegistrationDate="2026-02-01T00:00:00Z") == ["early"]
    assert len(names(from_Coworker_UpdatedOn="2020-01-01")) == 2
    assert names(from_Coworker_UpdatedOn="2999-01-01") == []


def test_an_email_is_matched_exactly_and_kept_as_typed(program: Program) -> None:
    program.member(Email=" Ada+Mail@Example.Example ")
    assert program.rows(MEMBERS, Coworker_Email="ada+mail@example.example") == []
    assert program.rows(MEMBERS, Coworker_Email=" Ada+Mail@Example.Example ")[0]["FullName"] == "Ada Example"


def test_system_ids_and_custom_fields_are_filters(program: Program) -> None:
    data = {"Data": [{"Name": "Mailbox", "Value": "1017", "Type": "string"}]}
    member = program.member(SystemId="ours:1", CustomFields=data)
    program.member()
    assert [one["Id"] for one in program.rows(MEMBERS, Coworker_SystemId="ours:1")] == [member]
    assert [one["Id"] for one in program.rows(MEMBERS, Coworker_CustomFields_Mailbox="1017")] == [member]
    assert program.read(MEMBERS, member)["CustomFields"] == data


def test_several_ids_are_answered_as_a_bare_array(program: Program) -> None:
    ids = [program.member(), program.member()]
    assert [one["Id"] for one in program.get(f"{MEMBERS}/", id=str(ids)).json()] == ids


def test_rows_of_a_list_leave_out_what_only_a_single_read_shows(program: Program) -> None:
    member = program.member()
    charge = program.charge(member, PurchaseOrder="ours:1")
    assert "Businesses" not in program.rows(MEMBERS)[0]
    assert program.read(MEMBERS, member)["Businesses"] == [program.business["Id"]]
    row = program.rows(CHARGES, Charge_PurchaseOrder="ours:1", Charge_Business=program.business["Id"])[0]
    assert row["Id"] == charge
    assert "PurchaseOrder" not in row


def test_some_lists_refuse_to_run_without_their_filter(program: Program) -> None:
    answer = program.get(LINES)
    assert answer.status_code == 400
    assert answer.text == "Missing required filter: CoworkerInvoiceLine_CoworkerInvoice"
    assert program.get(CHARGES).status_code == 400
    assert program.get("/api/billing/coworkerinvoicehistories").status_code == 500


def test_settings_ignore_every_filter(program: Program) -> None:
    everything = program.get(SETTINGS).json()["TotalItems"]
    assert program.get(SETTINGS, BusinessSetting_Name="tariffDefaultDueDate").json()["TotalItems"] == everything


def test_a_user_sees_only_the_businesses_of_the_login(program: Program) -> None:
    here = program.space
    other = here.create("Business", here.store.all("Business")[0] | {"Name": "Elsewhere"})
    assert "Elsewhere" not in [one["Name"] for one in program.rows("/api/sys/businesses")]
    assert program.get(f"/api/sys/businesses/{other['Id']}").status_code == 404


def test_a_switch_makes_a_list_ignore_a_filter(program: Program) -> None:
    program.member()
    program.member(Email="bea@example.example")
    program.control("/switches", ignored_filters="Coworker_Email")
    assert len(program.rows(MEMBERS, Coworker_Email="bea@example.example")) == 2


def test_a_switch_hides_new_rows_for_a_while(program: Program) -> None:
    member = program.member()
    program.control("/switches", hidden_s=60)
    assert program.rows(MEMBERS) == []
    assert program.read(MEMBERS, member)["Id"] == member


def test_every_documented_filter_finds_its_field() -> None:
    nowhere = {
        "Business_Last4Digits",
        "Business_PreAuthLastError",
        *(
            f"User_{name}"
            for name in ("AccessToken", "NewPassword", "PassportNumber", "PassportCardNumber", "ChatRooms")
        ),
    }
    for entity in ENTITIES.values():
        found = set(entity.filter_fields) | {name.lower() for name in nowhere}
        assert {name.lower() for name in entity.filters if "{" not in name} <= found


def test_the_demo_makes_matching_interesting(start: Start) -> None:
    program = start(demo=True)
    program.sign_in()
    members = program.rows(MEMBERS)
    emails = [one["Email"].strip().casefold() for one in members]
    assert emails.count("benno@ashgrove-tea.example") == 2
    assert any(one["Email"] != one["Email"].strip().lower() for one in members)
    assert {one["Archived"] for one in members} == {one["Active"] for one in members} == {True, False}
    assert len({one["InvoicingBusinessId"] for one in members}) == 2
    assert program.rows(INVOICES) == []

import pytest

from plugins.nexudus.sandbox.worlds import id_of
from tests.plugins.nexudus.sandbox.conftest import BASE, CHARGES, INVOICES, MEMBERS, SALES, Program

PRODUCTS = "/api/billing/products"


def test_a_create_without_the_required_fields_names_each(program: Program) -> None:
    answer = program.post(MEMBERS)
    said = answer.json()
    assert answer.status_code == 400
    assert (said["Status"], said["WasSuccessful"]) == (500, False)
    assert said["Message"] == "FullName: may not be null or empty"
    assert [one["PropertyName"] for one in said["Errors"]] == ["FullName", "Email", "Country", "SimpleTimeZone"]
    assert program.rows(MEMBERS) == []


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"FullName": "  "}, "FullName"),
        ({"CountryId": 7}, "Country"),
        ({"CountryId": "somewhere"}, "Country"),
        ({"Active": "maybe"}, "Active"),
        ({"RegistrationDate": "yesterday"}, "RegistrationDate"),
        ({"Businesses": 7}, "Businesses"),
        ({"FullName": 7}, "FullName"),
        ({"TaxRate": True}, "TaxRate"),
        ({"TaxRate": "20"}, "TaxRate"),
        ({"TaxRate": 10**15}, "TaxRate"),
        ({"CountryId": "1220"}, "Country"),
        ({"CountryId": 10**30}, "Country"),
        ({"CoworkerType": 3}, "CoworkerType"),
        ({"MondayAttendance": 6}, "MondayAttendance"),
        ({"CoworkerType": 1.5}, "CoworkerType"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(program: Program, values: dict[str, object], name: str) -> None:
    record = {"FullName": "Ada", "Email": "ada@example.example", "CountryId": 1220, "SimpleTimeZoneId": 2023}
    answer = program.post(MEMBERS, **(record | values))
    assert answer.status_code == 400
    assert [one["PropertyName"] for one in answer.json()["Errors"]] == [name]


BAD_BODIES = {
    "a list": "[1]",
    "broken off": "{",
    "a text": '"text"',
    "no number": '{"TaxRate": NaN}',
    "a number out of all bounds": '{"CustomFields": 1e999999999}',
    "half a character": r'{"FullName": "\ud800"}',
    "nested too deep": "[" * 100_000,
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_body_that_is_no_object_is_refused(program: Program, body: str) -> None:
    answer = program.session.post(BASE + MEMBERS, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["WasSuccessful"] is False


def test_a_body_that_is_not_json_is_refused(program: Program) -> None:
    assert program.session.post(BASE + MEMBERS, data={"FullName": "Ada"}).status_code == 415


def test_a_new_member_gets_the_defaults_that_were_seen(program: Program) -> None:
    member = program.read(MEMBERS, program.member())
    assert member["Active"] is True
    assert (member["Archived"], member["IsNew"]) == (False, False)
    assert member["NotifyOnNewInvoice"] is True
    assert member["AccessPincode"].isdecimal()
    assert member["RegistrationDate"] == member["CreatedOn"]
    assert member["InvoicingBusinessName"] == program.business["Name"]


def test_a_member_without_a_location_lands_in_some_location_of_the_login(program: Program) -> None:
    member = program.read(MEMBERS, program.member(Businesses=None, InvoicingBusinessId=None))
    assert member["InvoicingBusinessId"] == program.rows("/api/sys/businesses")[-1]["Id"]


def test_an_email_may_repeat(program: Program) -> None:
    first, second = program.member(), program.member()
    assert first != second
    assert [one["Id"] for one in program.rows(MEMBERS, Coworker_Email="ada@example.example")] == [first, second]


def test_a_password_is_never_kept(program: Program) -> None:
    member = program.member(Password="hunter2")
    assert "hunter2" not in program.get(f"{MEMBERS}/{member}").text


def test_an_update_replaces_the_whole_record(program: Program) -> None:
    member = program.member(CompanyName="Example Ltd", SystemId="ours:1", MobilePhone="1")
    record = program.read(MEMBERS, member) | {"FullName": "Ada B. Example"}
    del record["CompanyName"]
    assert program.put(MEMBERS, record).json()["WasSuccessful"]
    changed = program.read(MEMBERS, member)
    assert (changed["FullName"], changed["CompanyName"]) == ("Ada B. Example", None)
    assert (changed["SystemId"], changed["MobilePhone"]) == ("ours:1", "1")
    assert changed["Businesses"] == record["Businesses"]


def test_an_update_without_a_required_field_changes_nothing(program: Program) -> None:
    member = program.member(CompanyName="Example Ltd")
    answer = program.put(MEMBERS, {"Id": member, "FullName": "Eve"})
    assert answer.status_code == 400
    assert program.read(MEMBERS, member)["FullName"] == "Ada Example"


def test_read_only_fields_may_be_echoed_and_do_not_change(program: Program) -> None:
    record = program.read(MEMBERS, program.member())
    program.put(MEMBERS, record | {"UniqueId": "mine", "InvoicingBusinessName": "Mine", "CreatedOn": "1999-01-01"})
    changed = program.read(MEMBERS, record["Id"])
    for name in ("UniqueId", "InvoicingBusinessName", "CreatedOn"):
        assert changed[name] == record[name]


def test_locations_are_added_and_removed_by_difference(program: Program) -> None:
    first, second = (one["Id"] for one in program.rows("/api/sys/businesses"))
    record = program.read(MEMBERS, program.member())
    program.put(MEMBERS, record | {"AddedBusinesses": [second], "RemovedBusinesses": [first]})
    changed = program.read(MEMBERS, record["Id"])
    assert changed["Businesses"] == [second]
    assert changed["InvoicingBusinessId"] == first
    assert changed["AddedBusinesses"] is None


def test_what_is_not_there_is_not_found(program: Program) -> None:
    for answer in (
        program.get(f"{MEMBERS}/7"),
        program.put(MEMBERS, {"Id": 7}),
        program.delete(f"{PRODUCTS}/7"),
        program.get("/api/spaces/nothing"),
    ):
        assert (answer.status_code, answer.json()) == (404, "Not found")


def test_members_and_invoices_cannot_be_deleted_by_a_plain_call(program: Program) -> None:
    member = program.member()
    assert program.delete(f"{MEMBERS}/{member}").status_code == 405
    assert program.delete(f"{INVOICES}/7").status_code == 405
    assert program.post("/api/sys/countries", Name="Utopia").status_code == 405


def test_a_product_is_created_read_and_deleted(program: Program) -> None:
    business = program.business
    record = {
        "BusinessId": business["Id"],
        "Name": "Mail line",
        "Description": "x",
        "CurrencyId": business["CurrencyId"],
    }
    numbers = {"SystemProductType": 0, "DisplayOrder": 0, "Price": 0, "AvailableAs": 3}
    product = program.created(program.post(PRODUCTS, **record, **numbers))
    assert program.read(PRODUCTS, product)["CurrencyCode"] == "EUR"
    assert program.delete(f"{PRODUCTS}/{product}").json()["WasSuccessful"]
    assert program.get(f"{PRODUCTS}/{product}").status_code == 404


def test_the_case_of_a_path_does_not_matter(program: Program) -> None:
    member = program.member()
    assert program.get(f"/api/Spaces/CoWorkers/{member}").json()["Id"] == member


def test_amounts_survive_to_the_last_digit(program: Program) -> None:
    sale = program.sale(program.member(), price="1234567890.17")
    assert '"Price": 1234567890.17' in program.get(f"{SALES}/{sale}").text


@pytest.mark.parametrize("path", [SALES, CHARGES])
def test_a_pending_item_can_be_deleted_and_an_invoiced_one_cannot(program: Program, path: str) -> None:
    member = program.member()
    make = program.sale if path == SALES else program.charge
    kept, dropped = make(member), make(member)
    assert program.delete(f"{path}/{dropped}").json()["WasSuccessful"]
    program.post(f"{INVOICES}/{program.business['Id']}/create/{member}")
    assert program.delete(f"{path}/{kept}").status_code == 400


def test_commands_are_listed_but_not_all_of_them(program: Program) -> None:
    keys = {one["Key"] for one in program.get(f"{INVOICES}/commands").json()}
    assert "VOID_INVOICE" in keys
    assert program.get(f"{SALES}/commands").json() == []


@pytest.mark.parametrize("body", [{"Ids": [[1]]}, {"Ids": 7}, {"Ids": [7], "Parameters": ["Payment Method"]}])
def test_a_command_with_odd_ids_or_parameters_is_refused(program: Program, body: dict[str, object]) -> None:
    answer = program.post(f"{SALES}/runcommand", Key="COWORKER_PRODUCT_INVOICE", **body)
    assert (answer.status_code, answer.json()["WasSuccessful"]) == (400, False)


@pytest.mark.parametrize("record_id", [None, [1], "7"])
def test_an_update_of_nothing_is_not_found(program: Program, record_id: object) -> None:
    assert program.put(MEMBERS, {"Id": record_id}).status_code == 404


def test_a_sale_needs_all_that_the_documentation_demands(program: Program) -> None:
    product = program.product()
    sale = {"CoworkerId": program.member(), "BusinessId": product["BusinessId"], "ProductId": product["Id"]}
    complaints = program.post(SALES, **sale).json()["Errors"]
    missing = {one["PropertyName"] for one in complaints}
    assert missing == {"Quantity", "RepeatCycle", "CreditAmount", "DiscountAmount"}


def test_a_record_can_be_sent_back_as_it_was_read(program: Program) -> None:
    member = program.member()
    invoice = program.invoice_sales(program.sale(member))
    for path, record_id in ((MEMBERS, member), (INVOICES, invoice["Id"])):
        record = program.read(path, record_id)
        assert program.put(path, record).json()["WasSuccessful"]
        changed = {name for name, value in program.read(path, record_id).items() if value != record[name]}
        assert changed <= {"UpdatedOn", "Description"}


def test_a_command_that_does_not_exist_is_answered_with_200_and_no_success(program: Program) -> None:
    assert program.run(SALES, "MAKE_COFFEE", 1)["WasSuccessful"] is False
    assert program.run(SALES, "COWORKER_PRODUCT_INVOICE", 7)["WasSuccessful"] is False
    assert program.run(SALES, "COWORKER_PRODUCT_INVOICE")["WasSuccessful"] is False


def test_a_member_with_bills_is_not_deleted_by_the_command(program: Program) -> None:
    free, billed = program.member(), program.member()
    program.sale(billed)
    assert program.run(MEMBERS, "COWORKER_DELETE", free)["WasSuccessful"]
    assert program.get(f"{MEMBERS}/{free}").status_code == 404
    assert not program.run(MEMBERS, "COWORKER_DELETE", billed)["WasSuccessful"]


def test_the_enum_of_webhook_actions_is_listed(program: Program) -> None:
    actions = program.get("/api/utils/enums", name="eWebhookAction").json()
    assert {"Id": 21, "Name": "CoworkerInvoicePaid"} in actions
    assert program.get("/api/utils/enums", name="eNothing").status_code == 404


def test_ids_of_lookup_lists_follow_no_pattern_but_stay(program: Program) -> None:
    ids = [one["Id"] for one in program.rows("/api/sys/countries", orderby="Name")]
    assert ids != sorted(ids)
    assert program.rows("/api/sys/countries", Country_TwoDigitsCode="PT")[0]["Id"] == id_of("Country", "PT")

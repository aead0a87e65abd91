from tests.cast import PASSWORD, Cast
from tests.visitors import Visitor


def test_the_right_password_opens_the_account(client: Visitor, cast: Cast) -> None:
    answer = client.post("/login", data={"email": " ANA@acme.example", "password": PASSWORD})

    assert answer.status_code == 303
    assert answer.location == "/acme/"


def test_a_signed_in_person_is_known_by_the_next_request(client: Visitor, cast: Cast) -> None:
    client.post("/login", data={"email": "mia@acme.example", "password": PASSWORD})

    assert "Mia Maple" in client.get("/acme/").text


def test_nothing_is_posted_without_the_token(client: Visitor, cast: Cast) -> None:
    answer = client.post("/login", data={"email": "ana@acme.example", "password": PASSWORD}, csrf=False)

    assert answer.status_code == 400

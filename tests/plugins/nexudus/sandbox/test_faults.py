from datetime import timedelta

import pytest
import requests
import time_machine

from tests.plugins.nexudus.sandbox.conftest import BASE, CHARGES, INVOICES, MEMBERS, SALES, Program, Start


def test_a_lost_answer_leaves_the_write_done(program: Program) -> None:
    program.control("/switches", lost_answer_next=1)
    with pytest.raises(requests.ConnectionError):
        program.member()
    assert len(program.rows(MEMBERS)) == 1
    assert program.member()


def test_every_third_answer_is_lost_and_reads_are_not(program: Program) -> None:
    program.control("/switches", lost_answer_every=3)
    lost = 0
    for _ in range(9):
        try:
            program.member()
        except requests.ConnectionError:
            lost += 1
    assert lost == 3
    assert len(program.rows(MEMBERS)) == 9


def test_a_refused_write_has_no_answer_to_lose(program: Program) -> None:
    program.control("/switches", lost_answer_next=1)
    assert program.post(MEMBERS).status_code == 400
    assert program.space.faults.switches.lost_answer_next == 1


def test_a_dropped_call_leaves_nothing_behind(program: Program) -> None:
    program.control("/switches", dropped_next=1, only="coworkers")
    with pytest.raises(requests.ConnectionError):
        program.member()
    assert program.rows(MEMBERS) == []


def test_faults_can_be_kept_to_some_paths(program: Program) -> None:
    member = program.member()
    program.control("/switches", error_next=1, only="coworkerproducts")
    assert program.get(MEMBERS).status_code == 200
    assert program.get(SALES).status_code == 500
    assert program.sale(member)


@pytest.mark.parametrize("ooops", [True, False])
def test_a_burst_of_server_errors_carries_nothing_out(program: Program, ooops: bool) -> None:
    program.control("/switches", error_next=2, error_ooops=ooops)
    for _ in range(2):
        answer = program.post(MEMBERS, FullName="x")
        assert answer.status_code == 500
        assert ("Ooops" in answer.text) is ooops
    assert program.get(MEMBERS).json()["TotalItems"] == 0


def test_a_server_error_may_hide_that_the_write_was_carried_out(program: Program) -> None:
    program.control("/switches", error_after_next=1)
    record = {"FullName": "Ada", "Email": "ada@example.example", "CountryId": 1220, "SimpleTimeZoneId": 2023}
    assert program.post(MEMBERS, **record).status_code == 500
    assert len(program.rows(MEMBERS)) == 1
    assert program.post(MEMBERS, **record).status_code == 200


def test_an_answer_may_end_in_the_middle(program: Program) -> None:
    program.control("/switches", cut_next=1)
    answer = program.get(MEMBERS)
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert program.rows(MEMBERS) == []


@pytest.mark.parametrize(("status", "body"), [(409, ""), (429, "Too many requests. Wait 1 seconds.")])
def test_throttling_says_when_to_come_back(program: Program, status: int, body: str) -> None:
    program.control("/switches", throttle_next=1, throttle_status=status)
    answer = program.get(MEMBERS)
    assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (status, body, "1")
    assert program.get(MEMBERS).status_code == 200


def test_throttling_may_leave_out_the_header(program: Program) -> None:
    program.control("/switches", throttle_next=1, throttle_retry_after=False)
    assert "Retry-After" not in program.get(MEMBERS).headers


def test_a_web_page_comes_instead_of_json(program: Program) -> None:
    program.control("/switches", html_next=1)
    answer = program.post(MEMBERS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_an_answer_slower_than_the_caller_waits_is_a_time_out_of_a_done_call(program: Program) -> None:
    program.control("/switches", slow_s=30)
    with pytest.raises(requests.ReadTimeout):
        program.session.put(BASE + MEMBERS, json={}, timeout=(5, 20))
    assert program.session.get(BASE + MEMBERS, timeout=40).status_code == 200
    assert program.space.calls.counts()["PUT /api/spaces/coworkers"] == 1


def test_new_members_are_capped_a_day(program: Program) -> None:
    program.control("/switches", creation_cap=2)
    with time_machine.travel("2026-02-01T12:00Z", tick=False) as clock:
        program.sign_in()
        program.member()
        program.member()
        answer = program.post(
            MEMBERS, FullName="Ada", Email="ada@example.example", CountryId=1220, SimpleTimeZoneId=2023
        )
        assert (answer.status_code, answer.text) == (401, "Access Denied")
        assert program.get("/api/auth/me").status_code == 200
        clock.move_to("2026-02-02T00:00Z")
        assert program.member()


def test_the_documented_limits_hold_back_whoever_is_too_fast(start: Start) -> None:
    program = start(limits="documented")
    with time_machine.travel("2026-02-01T12:00Z", tick=False) as clock:
        program.sign_in()
        assert program.get(MEMBERS).status_code == 200
        assert program.get(MEMBERS).status_code == 429
        clock.shift(timedelta(milliseconds=101))
        assert program.get(MEMBERS).status_code == 200


def test_sixty_writes_a_minute_are_the_most(start: Start) -> None:
    program = start(limits="documented", profile="classic-2020")
    with time_machine.travel("2026-02-01T12:00Z", tick=False) as clock:
        program.sign_in()
        for _ in range(60):
            clock.shift(timedelta(milliseconds=200))
            assert program.post(MEMBERS).status_code == 400
        clock.shift(timedelta(milliseconds=200))
        throttled = program.post(MEMBERS)
        assert (throttled.status_code, throttled.text) == (409, "")
        assert program.get(MEMBERS).status_code == 200
        clock.shift(timedelta(seconds=int(throttled.headers["Retry-After"])))
        assert program.post(MEMBERS).status_code == 400


def test_fifty_new_members_a_day_are_the_most_while_limits_are_documented(start: Start) -> None:
    program = start(limits="documented")
    with time_machine.travel("2026-02-01T12:00Z", tick=False) as clock:
        program.sign_in()
        record = {"FullName": "Ada", "Email": "ada@example.example", "CountryId": 1220, "SimpleTimeZoneId": 2023}
        for _ in range(50):
            clock.shift(timedelta(seconds=2))
            program.created(program.post(MEMBERS, **record))
        clock.shift(timedelta(seconds=2))
        answer = program.post(MEMBERS, **record)
        assert (answer.status_code, answer.text) == (401, "Access Denied")


def test_calls_are_counted_by_kind_until_reset(program: Program) -> None:
    member = program.member()
    program.control("/calls/reset")
    program.get(f"{MEMBERS}/{member}")
    program.get(f"{MEMBERS}/7")
    program.post(f"{INVOICES}/1/create/{member}")
    counts = program.session.get(f"{BASE}/sandbox/calls").json()
    assert counts == {
        "GET /api/spaces/coworkers/{id}": 2,
        "POST /api/billing/coworkerinvoices/{id}/create/{id}": 1,
    }


def test_the_last_calls_are_told_with_their_command_and_their_end(program: Program) -> None:
    sale = program.sale(program.member())
    program.control("/calls/reset")
    program.invoice_sales(sale)
    program.control("/switches", lost_answer_next=1, dropped_next=1, only=CHARGES)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            program.charge(7 if program.space.faults.switches.dropped_next else program.member())
    program.get(f"{MEMBERS}/7")
    told = program.session.get(f"{BASE}/sandbox/requests").json()[::-1]
    ends = [(one["path"], one["command"], one["status"], one["lost"]) for one in told if one["method"] == "POST"]
    assert ends == [
        (f"{SALES}/runcommand", "COWORKER_PRODUCT_INVOICE", 200, None),
        (CHARGES, None, None, "request"),
        (MEMBERS, None, 200, None),
        (CHARGES, None, None, "answer"),
    ]
    assert (told[-1]["path"], told[-1]["status"]) == (f"{MEMBERS}/7", 404)


def test_switches_are_shown_and_turned_off_together(program: Program) -> None:
    program.control("/switches", lost_answer_every=10, profile="classic-2020", limits="documented")
    shown = program.session.get(f"{BASE}/sandbox/switches").json()
    assert (shown["lost_answer_every"], shown["profile"], shown["limits"]) == (10, "classic-2020", "documented")
    assert program.control("/switches/off").json()["lost_answer_every"] == 0


@pytest.mark.parametrize("values", [{"lost_answers": 1}, {"profile": "2031"}, {"error_next": "many"}])
def test_a_switch_that_does_not_exist_is_named(program: Program, values: dict[str, object]) -> None:
    before = program.session.get(f"{BASE}/sandbox/switches").json()
    answer = program.control("/switches", **values)
    assert answer.status_code == 400
    assert next(iter(values)) in answer.json()["error"]
    assert program.session.get(f"{BASE}/sandbox/switches").json() == before


def test_a_reset_forgets_everything(program: Program) -> None:
    program.member()
    program.control("/switches", error_next=5)
    program.control("/reset", demo=True)
    assert program.get(MEMBERS).status_code == 401
    program.sign_in()
    assert len(program.rows(MEMBERS)) > 40
    counts = program.session.get(f"{BASE}/sandbox/calls").json()
    assert counts == {"GET /api/spaces/coworkers": 2, "POST /api/token": 1}

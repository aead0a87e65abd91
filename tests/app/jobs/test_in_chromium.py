"""The dashboard in Chromium: it moves by itself, and nothing that lies in Redis runs."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Page, expect
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from werkzeug.serving import make_server

from app import assets
from app.db import db, write_access
from app.demo import SIGN_INS
from app.work import HostJob
from tests.visitors import apart

pytestmark = [pytest.mark.browser, pytest.mark.redis]

EVIL = '<img src=x onerror="document.title = `run`"><script>document.title = "run"</script>'


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    connection = Redis.from_url(redis_url)
    connection.flushdb()
    yield connection
    connection.close()


@pytest.fixture
def address(
    build_app: Callable[..., Flask],
    app_settings: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    redis: Redis,
) -> Iterator[str]:
    data_dir = tmp_path_factory.mktemp("served")
    assets.build(data_dir)
    app = build_app(data_dir=data_dir, database_url=f"sqlite:///{data_dir / 'demo.db'}", **app_settings)
    app.extensions["bell"].connection = redis
    with app.app_context():
        with write_access(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
        assert apart(app.test_cli_runner().invoke, args=["demo"]).exit_code == 0
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_script_in_description_result_and_traceback_stays_text(page: Page, address: str, redis: Redis) -> None:
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue_call(EVIL, args=[EVIL], description=EVIL)
    job.meta = {EVIL: EVIL}
    job.save_meta()  # type: ignore[no-untyped-call]
    _, email, password = SIGN_INS[-1]
    page.goto(f"{address}/login")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Background jobs").click()
    row = page.locator("#queue-default")
    expect(row).to_contain_text("1")

    page.get_by_role("link", name="default").click()
    expect(page.get_by_text("Not a job of this product")).to_be_visible()
    worker = SimpleWorker([queue], connection=redis, serializer=JSONSerializer, job_class=HostJob)
    worker.work(burst=True, logging_level="CRITICAL")
    # The list asks again by itself, and what failed is gone from it.
    expect(page.get_by_text("Nothing waits on this queue.")).to_be_visible()

    page.get_by_role("link", name="Failed").click()
    page.get_by_role("link", name="Not a job of this product").click()
    expect(page.get_by_text("PermissionError")).to_be_visible()
    assert "run" not in page.title().split()
    assert Axe().run(page).violations_count == 0

    page.get_by_role("link", name="Queue default").click()
    page.get_by_role("link", name="Empty the failed list…").click()
    page.get_by_role("button", name="Forget it").click()
    expect(page.get_by_text("1 failed job forgotten.")).to_be_visible()
    assert redis.zcard("rq:failed:default") == 0

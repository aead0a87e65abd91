"""The services that tests start are real and their own."""

import psycopg
import pytest
from playwright.sync_api import Page
from redis import Redis

from tests.services import Postgres


@pytest.mark.postgres
def test_every_postgres_database_is_new(postgres: Postgres) -> None:
    first, second = (postgres.new_database().replace("+psycopg", "") for _ in range(2))
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)


@pytest.mark.redis
def test_redis_answers(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        assert redis.ping()


@pytest.mark.browser
def test_a_page_runs_scripts(page: Page) -> None:
    page.set_content("<p id=said></p><script>document.getElementById('said').textContent = 1 + 1</script>")
    assert page.inner_text("#said") == "2"

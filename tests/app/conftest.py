"""The host is tested with one example plugin in place of the real ones."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app import example


@pytest.fixture(scope="session")
def app_settings() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "plugins.example", example)
        yield {"plugins": ("example",)}

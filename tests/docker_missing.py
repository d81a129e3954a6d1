"""What tests do that need Docker where there is none: they are skipped, but fail in a CI that starts an engine."""

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """End the test; with AHX_REQUIRE_DOCKER=1 as a failure."""
    if os.environ.get("AHX_REQUIRE_DOCKER") == "1":
        pytest.fail(f"tests with Docker must run here, but {reason}", pytrace=False)
    pytest.skip(reason)

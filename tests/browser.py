"""A real browser, for tests of what pages can do: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# Without these Chromium asks its maker's servers for this and that.
_QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def new_page(context: Any, asked: list[str], wrong: list[str], width: int, dark: bool) -> Any:
    """A page of this width that adds to `asked` every address it asks for, and to `wrong` what its console says."""
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return page


@contextmanager
def chromium(*options: str) -> Iterator[Any]:
    """A browser; where there is none the test is skipped, or fails under AHX_REQUIRE_BROWSER=1."""
    command = shutil.which("chromium")
    if command is None:
        if os.environ.get("AHX_REQUIRE_BROWSER") == "1":
            pytest.fail("tests with a browser must run here, but there is no chromium command", pytrace=False)
        pytest.skip("there is no chromium command")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=[*_QUIET, *options])
        try:
            yield browser
        finally:
            browser.close()

"""`ahx play`: its page in a real browser, and its server against other pages."""

import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import browser
import pytest

from ahx.evaluation.trained import Trained, load_trained
from ahx.play import written
from ahx.play.server import Playground
from entrypoints.main import main

_WAIT_MS = 60_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train = ["train", "--max-len", "6", "--max-steps", "100", "--threads", "1"]
    assert main([*train, "--rule", "double_a", "--model-out", str(folder / "rule")]) == 0
    assert main(["train", "--rule", "bb4", "--certify", "--model-out", str(folder / "machine")]) == 0
    return folder


@contextmanager
def serving(trained: Trained | None) -> Iterator[Playground]:
    with Playground(trained, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


Open = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as one:
        yield one


@pytest.fixture
def opened(chromium: Any) -> Iterator[Open]:
    """Opens the page of a server; at the end, nothing but the server was asked and nothing went wrong."""
    context, asked, wrong = chromium.new_context(), list[str](), list[str]()
    servers = list[str]()

    def open_page(server: Playground, width: int = 1280, dark: bool = False) -> Any:
        page = browser.new_page(context, asked, wrong, width, dark)
        servers.append(server.address)
        page.goto(server.address)
        return page

    yield open_page
    context.close()
    assert [url for url in asked if not url.startswith((*servers, "data:"))] == []
    assert wrong == []


def said(page: Any, where: str, pattern: str = "", count: int | None = None) -> None:
    """Waits until a part of the page has a text, or there are so many parts."""
    from playwright.sync_api import expect

    found = page.locator(where)
    if count is not None:
        expect(found).to_have_count(count, timeout=_WAIT_MS)
    else:
        expect(found).to_have_text(re.compile(pattern), timeout=_WAIT_MS)


def accessible(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"]) for one in found if one["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_rewriting_is_watched_by_keyboard(opened: Open, runs: Path) -> None:
    with serving(load_trained(runs / "rule", trusted=None)) as server:
        page = opened(server)
        page.get_by_label("Input").fill("ABA")
        tokens = page.locator("#tokens span:not([hidden])")
        said(page, "#tokens .input", count=5)
        page.locator("h1").click()  # out of the text field
        page.keyboard.press("Home")
        assert tokens.all_inner_texts() == ["<", "A", "B", "A", ">"]
        assert page.locator("#tokens .cursor").inner_text() == "A"
        page.keyboard.press("ArrowRight")
        assert tokens.count() == 6
        assert page.locator("#next tr").count() == 5
        assert page.locator("#heads canvas").first.get_attribute("aria-label")
        page.keyboard.press("ArrowLeft")
        assert tokens.count() == 5
        page.keyboard.press(" ")
        said(page, "#verdict", "Right: AABAA")
        page.get_by_label("Input").fill("AxA")
        said(page, "#error", "'x'")
        accessible(page)
        accessible(opened(server, 380, dark=True))


def test_a_machine_draws_its_run(opened: Open, runs: Path) -> None:
    with serving(load_trained(runs / "machine", trusted=None)) as server:
        page = opened(server)
        said(page, "#status", "Halted after 107 steps")
        assert page.evaluate("document.getElementById('diagram').height") >= 108
        page.get_by_label("Tape or text").fill("0110")
        page.get_by_role("button", name="Run").click()
        said(page, "#status", "Halted after 17 steps")
        accessible(page)


def test_an_interpreter_runs_the_machine_that_is_typed(opened: Open) -> None:
    with serving(load_trained(None, trusted=None)) as server:
        page = opened(server, 380)
        page.get_by_role("textbox", name="Machine").fill("1RB1LB_1LA1RZ")
        page.get_by_role("button", name="Run").click()
        said(page, "#status", "Halted after 6 steps")
        page.get_by_role("textbox", name="Machine").fill("nonsense")
        page.get_by_role("button", name="Run").click()
        said(page, "#error", "expected")
        accessible(page)


def test_a_visitor_trains_a_model(opened: Open) -> None:
    with serving(None) as server:
        page = opened(server)
        page.get_by_label("A rewriting rule").fill("os:system")
        page.get_by_role("button", name="Train").click()
        said(page, "#error", "is not run")
        page.get_by_label("A rewriting rule").fill("double_a")
        page.get_by_role("button", name="Train").click()
        said(page, "#progress", "Step [1-9][05]")
        accessible(page)
        said(page, "#about", "^A -> AA")


def test_other_pages_are_refused(runs: Path) -> None:
    with serving(load_trained(runs / "rule", trusted=None)) as server:
        port = server.server_address[1]

        def asked(path: str, body: str = '{"input": "ABA"}', **headers: str) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            usual = {"Content-Type": "application/json", "Host": f"127.0.0.1:{port}"}
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", path, body.encode(), {**usual, **names})
            answer = connection.getresponse()
            found = answer.status, answer.read()
            connection.close()
            return found

        status, body = asked("/write")
        assert (status, json.loads(body)["output"]) == (200, "AABAA")
        assert asked("/write", Host="evil.example")[0] == 403
        assert asked("/write", Origin="http://evil.example")[0] == 403
        assert asked("/write", Origin="null")[0] == 403
        assert asked("/write", Sec_Fetch_Site="cross-site")[0] == 403
        assert asked("/write", Content_Type="text/plain")[0] == 400  # what a page of another site may send unasked
        assert asked("/write", body="[1")[0] == 400
        assert asked("/write", body=" " * 70_000)[0] == 400
        assert asked("/nothing")[0] == 404
        assert b"up to 200 symbols" in asked("/write", body=json.dumps({"input": "A" * 201}))[1]
        assert asked("/write", Origin=f"http://127.0.0.1:{port}", Sec_Fetch_Site="same-origin")[0] == 200


def test_requests_that_the_page_gave_up_are_not_answered(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked, real = list[str](), written.rewriting
    monkeypatch.setattr(written, "rewriting", lambda trained, text: asked.append(text) or real(trained, text))
    with serving(load_trained(runs / "rule", trusted=None)) as server:
        waiting = [http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30) for _ in range(4)]
        with server.lock:
            for number, connection in enumerate(waiting):
                body = json.dumps({"input": "A" * (number + 1)})
                connection.request("POST", "/write", body, {"Content-Type": "application/json"})
            for connection, linger in zip(waiting, ((0, 0), (1, 0), (1, 0)), strict=False):  # closed, reset, reset
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *linger))
                connection.close()
        assert json.loads(waiting[3].getresponse().read())["output"] == "A" * 8
        waiting[3].close()
    assert asked == ["AAAA"]
    assert capfd.readouterr().err == ""


def test_a_port_in_use_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(None) as server:
        assert main(["play", "--port", str(server.server_address[1]), "--no-browser"]) == 1
        assert "choose another one with --port" in capsys.readouterr().err

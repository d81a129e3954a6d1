"""`ahx report`: pages of runs, a sweep and a study, in a real browser."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest

from entrypoints.main import main

TRAIN = ["train", "--rule", "double_a", "--max-len", "4", "--n-layer", "1", "--n-head", "2", "--n-embd", "16"]
SWEEP = ["sweep", "--name", "s1", "--on", "process", "--rule", "double_a", "--max-len", "4", "--max-steps", "20"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("OMP_NUM_THREADS", "1")
        for seed in "12":
            few = ["--max-steps", "20", "--epoch-size", "640", "--seed", seed]
            assert main([*TRAIN, *few, "--model-out", f"coupled{seed}"]) == 0
            assert main([*TRAIN, *few, "--pos", "rope", "--model-out", f"rope{seed}"]) == 0
        assert main(["train", "--rule", "bb4", "--certify", "--model-out", "bb4"]) == 0
        assert main([*SWEEP, "--grid", "n_layer=1,2", "--grid", "learning_rate=1e-3,3e-3"]) == 0
        study = ["study", "double_a", "--on", "process", "--seeds", "1", "--max-steps", "60", "--n-layer", "1"]
        assert main([*study, "--max-len", "4", "--budget", "4 trials", "--to", "study"]) == 0
        runs = ["coupled1", "coupled2", "rope1", "rope2"]
        for name, what in {"runs": runs, "machine": ["bb4"], "sweep": ["s1"], "study": ["study"]}.items():
            assert main(["report", *what, "--num-samples", "50", "--to", f"{name}.html"]) == 0
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as one:
        yield one


@pytest.fixture
def opened(chromium: Any, pages: Path) -> Iterator[Any]:
    """Opens a page; at the end, nothing but the file was asked for and nothing went wrong."""
    asked: list[str] = []
    wrong: list[str] = []
    context = chromium.new_context(accept_downloads=True)

    def open_page(name: str, width: int = 1280, dark: bool = False) -> Any:
        page = browser.new_page(context, asked, wrong, width, dark)
        page.goto((pages / f"{name}.html").as_uri())
        return page

    yield open_page
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert wrong == []


@pytest.mark.parametrize("name", ["runs", "machine", "sweep", "study"])
def test_pages_fit_every_width_and_are_accessible(opened: Any, name: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for width, dark in ((380, True), (1920, False)):
        page = opened(name, width, dark)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("figure svg").count() >= 1
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["impact"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_runs_that_differ_by_their_seed_are_one_line(opened: Any) -> None:
    page = opened("runs")
    learning = page.locator("figure", has_text="Loss and exact match over samples")
    assert learning.locator("svg").get_by_text("pos coupled").count() == 1
    assert learning.locator("svg").get_by_text("pos rope").count() == 1
    with page.expect_download() as waiting:
        learning.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(waiting.value.path().read_text("utf-8").splitlines()))
    samples = [int(row["samples"]) for row in rows if row["kind"] == "point" and row["run"] == rows[0]["run"]]
    assert samples == [192, 384, 576, 640] * (len(samples) // 4)  # only the last at an evaluation
    assert page.get_by_role("heading", name="What went wrong").count() == 1  # 20 steps are not enough
    assert page.locator("mark").count() > 0


def test_a_figure_is_saved(opened: Any, tmp_path: Path) -> None:
    page = opened("runs", dark=True)
    figure = page.locator("figure", has_text="Exact match by length")
    for kind, begin in (("SVG", b"<svg"), ("PNG", b"\x89PNG"), ("CSV", b'"run"')):
        with page.expect_download() as waiting:
            figure.get_by_role("button", name=kind).click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        assert path.name == f"exact-match-by-length.{kind.lower()}"
        content = path.read_bytes()
        assert content.startswith(begin)
        assert b"var(--" not in content
        if kind == "CSV":
            rows = list(csv.reader(content.decode().splitlines()))
            assert len(rows) == 1 + 4 * 5  # runs and lengths


def test_a_table_is_sorted_by_keyboard(opened: Any) -> None:
    page = opened("sweep")
    table = page.locator("table").first
    head = table.get_by_role("button", name="loss")
    head.focus()
    for direction in (1, -1):
        page.keyboard.press("Enter")
        column = page.evaluate("[...document.querySelectorAll('th')].findIndex((one) => one.textContent === 'loss')")
        cells = table.locator(f"tbody td:nth-child({column + 1})")
        values = [float(cells.nth(row).get_attribute("data-value")) for row in range(cells.count())]
        assert values == sorted(values)[::direction]
        assert len(values) == 4


def test_hostile_names_are_text() -> None:
    from ahx.report.charts import Figure
    from ahx.report.page import Section, html

    section = Section("<script>alert(1)</script>")
    section.figure(
        Figure(
            '"><img src=x>$\\frac', lambda canvas: canvas.subplots().set_title("<b>$x$\u202e"), ["<i>"], [["\x00<u>"]]
        )
    )
    page = html("</title><script>", ["<p>"], [section])
    for tag in ("<script>alert", "<img", "<b>$x", "<i>", "<u>", "\u202e", "\x00"):
        assert tag not in page
    assert page.count("<script>") == 1


def test_mistakes_are_one_sentence(
    pages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pages)
    os.makedirs("empty", exist_ok=True)
    Path("notstudy").mkdir(exist_ok=True)
    Path("notstudy", "study.json").write_text("{}", "utf-8")
    for words, said in (
        (["nosuch"], "there is no sweep nosuch"),
        (["empty"], "empty"),
        (["notstudy"], "is not the record of a study"),
        (["study", "coupled1"], "leave out coupled1"),
        (["coupled1", "--num-samples", "0"], "--num-samples: must be at least 1"),
    ):
        assert main(["report", *words]) in (1, 2), words
        assert said in capsys.readouterr().err

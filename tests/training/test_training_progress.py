"""What a terminal shows of training."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from ahx.training.progress import Example, Live


@pytest.fixture
def live() -> Iterator[Live]:
    reporter = Live(100_000)
    yield reporter
    reporter.close()


def test_the_time_that_is_left_fits_into_80_columns(live: Live) -> None:
    live.step(10, 1.0, 1000.0)
    live.evaluation({"val_loss": 0.25, "val_exact": 1.0}, [Example("A", "AA", "AA")])
    live.step(90_000, 0.0625, 912_345.0)
    console = Console(width=80, file=io.StringIO())
    console.print(live.progress.get_renderable())
    (line,) = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    for part in ("90000/100000", "loss 0.0625", "val 0.2500", "exact 100.00%", "912,345 tok/s"):
        assert part in line
    assert line.rstrip()[-3] == ":"  # minutes:seconds, or --:--


def test_a_long_command_stays_one_line(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "Go on with: ahx train " + "--option value " * 20
    live.say(sentence)
    assert sentence.rstrip() in capsys.readouterr().out


def test_people_get_a_table_that_fits_into_80_columns(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("step", "epoch", "train_loss", "val_loss", "val_exact", "val_margin", "tokens_per_second", "seconds")
    for value in (1, 1234):
        live.evaluation(dict.fromkeys(names, value), [])
    about, titles, *rows = capsys.readouterr().out.splitlines()[-4:]
    assert "val loss: of the weights now" in about
    assert "train loss" in titles
    assert [row.split()[:2] for row in rows] == [["1", "1.00"], ["1,234", "1234.00"]]
    assert max(map(len, (titles, *rows))) < 80

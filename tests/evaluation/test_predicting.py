"""`ahx predict`, `ahx eval --csv`, several right outputs, and probabilities."""

import copy
import csv
import dataclasses
import io
import itertools
import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ahx import load
from ahx.data.files.read import read_pairs
from ahx.evaluation.calibrating import fit
from ahx.evaluation.evaluate import Judged, evaluate
from ahx.evaluation.predicting import Predictions, predict
from ahx.evaluation.reliability import Reliability
from ahx.evaluation.rewriter import Rewriter
from ahx.evaluation.samples import Series, alternatives, draw
from ahx.evaluation.trained import Trained, load_trained

Ahx = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.txt"
    path.write_bytes(b"\xef\xbb\xbfABA\r\nAX\n\nB\n\xff\nCA")
    return path


def test_a_line_for_each_input(ahx: Ahx, folder: Path, inputs: Path) -> None:
    code, out, err = ahx("predict", folder, "--data", inputs)
    assert (code, out) == (1, "AAAA\n\n\n\n\nCAA\n")
    first, second, last = err.splitlines()
    assert first.startswith("ahx: line 2: the symbol 'X' in 'AX' is outside the alphabet 'ABC'")
    assert second.startswith(r"ahx: line 5: the symbol '\udcff'")
    assert last == "ahx: 6 inputs: 4 answered, 2 without an answer"


def test_the_inputs_of_a_data_file(ahx: Ahx, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('output,number,input\n,1,"ABA"\n,2,CA\n', "utf-8")
    said = ahx("predict", folder, "--data", path, "--columns", "input,output")
    assert said == (0, "AAAA\nCAA\n", "ahx: 2 inputs: 2 answered\n")


def test_inputs_of_a_data_file_are_numbered_without_its_header(ahx: Ahx, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("input,output\nA,\nX,\n", "utf-8")
    code, _, err = ahx("predict", folder, "--data", path, "--format", "auto")
    assert (code, err[:35]) == (1, "ahx: input 2: the symbol 'X' in 'X'")


def test_standard_input(ahx: Ahx, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A\nCA\n" * 300), encoding="utf-8"))
    assert ahx("predict", folder, "--data", "-") == (0, "AA\nCAA\n" * 300, "ahx: 600 inputs: 600 answered\n")


@pytest.mark.parametrize(
    ("verb", "option", "end"),
    [
        ("predict", (), (0, "AAAA\n")),
        ("predict", ("--format", "plain"), (1, "is not a regular file, so it can be read only once")),
        ("eval", (), (1, "is not a regular file, so it can be read only once")),
    ],
)
def test_a_pipe_is_read_once_or_refused(
    ahx: Ahx, folder: Path, verb: str, option: tuple[str, ...], end: tuple[int, str]
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"ABA\n")
    os.close(writing)
    model = [folder] if verb == "predict" else ["--model", folder]
    code, out, err = ahx(verb, *model, "--data", f"/dev/fd/{reading}", *option)
    os.close(reading)
    assert code == end[0]
    assert end[1] in out + err


def test_json_with_the_best_answers(ahx: Ahx, folder: Path, inputs: Path) -> None:
    code, out, _ = ahx("predict", folder, "--data", inputs, "--json", "--n-best", 3, "--beam", 5)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, len(lines)) == (1, 6)
    assert (lines[0]["input"], lines[0]["output"]) == ("ABA", "AAAA")
    assert lines[0]["best"][0]["output"] == "AAAA"
    for line in (lines[0], lines[2], lines[3], lines[5]):
        best = [one["probability"] for one in line["best"]]
        assert best == sorted(best, reverse=True)
        assert 0.2 < best[0] == line["probability"] <= 1
        assert sum(best) <= 1 + 1e-6
        assert len({one["output"] for one in line["best"]}) == len(best)
    assert lines[1]["output"] is lines[1]["probability"] is None
    assert "outside the alphabet" in lines[1]["error"]


def test_it_abstains_below_a_probability(imperfect: Trained) -> None:
    texts, counts = ["A", "ABC", "CCA", "ACBAC", "CA"], Predictions()
    rewriter = Rewriter(imperfect, max_new_tokens=40)
    sure = [found[0].probability if isinstance(found, list) else math.nan for found in rewriter.best(texts)]
    least = sorted(p for p in sure if p == p)[1]
    [lines] = predict(rewriter, texts, counts, min_probability=least, as_json=True, complain=lambda _: None)
    answers = [json.loads(line) for line in lines]
    assert [one["output"] is not None for one in answers] == [p >= least for p in sure]
    assert counts.unsure == 1
    assert "1 below --min-probability" in str(counts)


def test_the_answers_do_not_depend_on_the_chunks(imperfect: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["A" * n + "C" for n in range(7)] * 3
    alone = [Rewriter(imperfect, max_new_tokens=30).best([text])[0] for text in texts]
    together = Rewriter(imperfect, max_new_tokens=30).best(texts)
    for one, other in zip(alone, together, strict=True):
        if isinstance(one, list) and isinstance(other, list):
            assert [found.text for found in one] == [found.text for found in other]
            assert one[0].log_probability == pytest.approx(other[0].log_probability, abs=1e-4)
        else:
            assert str(one) == str(other)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--data x", "which model? Name a run's folder: ahx predict runs/double_a --data inputs.txt"),
        ("run", "--data: name a file with an input on each line, or - for standard input"),
        ("run --data x --n-best 0", "--n-best: must be from 1 to 1000 (got 0)"),
        ("run --data x --n-best 5 --beam 2", "--beam: must be from --n-best, 5, to 1000 (got 2)"),
        ("run --data x --min-probability 2", "--min-probability: must be from 0 to 1 (got 2)"),
        (
            "run --data - --format csv",
            "--format and --columns are for a file; standard input has an input on each line",
        ),
        ("run --data x --max-new-tokens 0", "--max-new-tokens: must be at least 1 (got 0)"),
    ],
)
def test_predict_refuses(ahx: Ahx, options: str, sentence: str) -> None:
    assert ahx("predict", *options.split()) == (2, "", f"ahx: error: {sentence}\n")


def test_eval_says_how_its_file_was_read(ahx: Ahx, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("output,input\nAA,A\n", "utf-8")
    code, out, _ = ahx("eval", "--model", folder, "--data", path)
    read = "comma-separated, quotes removed, a header (output, input), columns input and output of 2"
    assert (code, out.splitlines()[0]) == (0, f"{folder} on {path} ({read})")


def test_any_of_several_outputs_is_right(ahx: Ahx, folder: Path, tmp_path: Path) -> None:
    path, to = tmp_path / "several.txt", tmp_path / "predictions.csv"
    path.write_text("A,XX\nC,C\nA,AA\nB,\nA,AA\nCA,CAAC\nCA,ACC\nB,\n", "utf-8")
    assert alternatives(lambda: read_pairs(path)) == {"A": ["XX", "AA"], "CA": ["CAAC", "ACC"]}
    code, out, _ = ahx("eval", "--model", folder, "--data", path, "--json", "--csv", to)
    found = json.loads(out)
    assert (code, found["samples"], found["exact"], found["alternatives"]) == (0, 5, 4, 3)
    errors = found["symbol_errors"]
    assert (errors["symbols"], errors["substitutions"], errors["insertions"], errors["deletions"]) == (7, 0, 0, 1)
    assert errors["confusions"] == [{"expected": "C", "got": "", "count": 1}]
    rows = list(csv.reader(to.read_text("utf-8").splitlines()))
    assert rows[0] == ["input", "expected", "predicted", "right", "probability"]
    assert [row[:4] for row in rows[1:]] == [
        ["A", "AA", "AA", "1"], ["C", "C", "C", "1"], ["B", "", "", "1"], ["CA", "CAAC", "CAA", "0"],
        ["B", "", "", "1"],
    ]  # fmt: skip
    assert all(0.5 < float(row[4]) <= 1 for row in rows[1:])
    assert sum(row["exact"] for row in load(folder).evaluate(data=path)) == 4


def test_probabilities_of_decoding_and_of_teacher_forcing_agree(trained: Trained) -> None:
    samples = [("A", "AA"), ("ABC", "AAC"), ("CAC", "CAAC")]
    forced, decoded = [], []
    evaluate(trained, samples, on_sample=lambda one: forced.append(one.verdict.log_probability))
    evaluate(trained, samples, on_sample=lambda one: decoded.append(one.verdict.log_probability), decode=True)
    assert forced == pytest.approx(decoded, abs=1e-4)
    assert all(-1 < log <= 0 for log in forced)


def test_calibration_undoes_a_factor(imperfect: Trained) -> None:
    """With the head's weights twice as large, twice the divisor gives the same probabilities."""
    assert imperfect.rule is not None
    samples = list(dict.fromkeys(draw(imperfect.rule, "ABC", Series(1, 6, 400), seed=4)))
    model = copy.deepcopy(imperfect.model)
    with torch.no_grad():
        model.head.weight_FC *= 2
    found, reports = [], []
    for trained in (imperfect, dataclasses.replace(imperfect, model=model)):
        judged: list[Judged] = []
        evaluate(trained, samples, on_sample=judged.append, max_new_tokens=40)
        found.append(fit(trained, judged))
        reports.append(evaluate(dataclasses.replace(trained, calibration=found[-1].divisor), samples))
    assert found[1].divisor == pytest.approx(2 * found[0].divisor, rel=0.03)
    assert found[1].after == pytest.approx(found[0].after, abs=0.01)
    assert reports[0].total.exact == reports[1].total.exact


def test_calibrate_keeps_the_divisor_with_the_model(ahx: Ahx, folder: Path, tmp_path: Path) -> None:
    run, path = tmp_path / "run", tmp_path / "x.txt"
    shutil.copytree(folder, run)
    texts = ["".join(text) for text in itertools.product("AC", repeat=6)]
    lines = [f"{text},{'X' if n % 2 else text.replace('A', 'AA')}\n" for n, text in enumerate(texts)]
    path.write_text("".join(lines[:10]), "utf-8")
    code, _, err = ahx("eval", "--model", run, "--data", path, "--calibrate")
    assert code == 2
    assert err.startswith("ahx: error: --calibrate: 5 of 10 answers are right; give lines, such as those of validation")
    path.write_text("".join(lines), "utf-8")
    code, out, _ = ahx("eval", "--model", run, "--data", path, "--calibrate")
    trained = load_trained(run, trusted=None)
    assert (code, trained.calibration != 1.0) == (0, True)
    assert f"logits are divided by {trained.calibration:g} from now on" in out


def test_the_calibration_error() -> None:
    found = Reliability()
    for right in (True, True, True, False):
        found.add(0.75, right)
    assert found.error == 0
    found.add(1.0, True)
    found.add(0.0, True)
    assert found.error == pytest.approx(1 / 6)
    twice = Reliability()
    twice.merge(found)
    assert twice == found

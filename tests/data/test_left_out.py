"""Samples unlike those that the vocabulary was read from: all steps of a machine are known, others are left out."""

import sys
from itertools import groupby
from pathlib import Path

import pytest

from ahx.data.samples import source
from ahx.data.samples.sampler import Sampler
from ahx.data.samples.source import RuleSource, fit_rule
from ahx.errors import InputError
from ahx.rules import parse_rule
from ahx.rules.closure import all_steps


def run_lengths(text: str) -> str:
    return "".join(symbol + str(len(list(group))) for symbol, group in groupby(text))


def few_probes(spec: str, monkeypatch: pytest.MonkeyPatch, alphabet: str = "") -> RuleSource:
    monkeypatch.setattr(source, "_N_PROBES", 3)
    rule = parse_rule(spec)
    return fit_rule(rule, Sampler(alphabet or rule.alphabet, 1, 12, rule.snippets()), 1, True, None)


@pytest.mark.parametrize("spec", ["increment", "unary_multiply", "markov: ABC -> D, DA -> , CC -> A; steps=2", "bb3"])
def test_every_step_of_a_machine_is_in_the_vocabulary(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = few_probes(spec, monkeypatch)
    for step in range(40):
        assert len(samples.batch(step, 32)) == 32
    assert samples.left_out == ""


def test_a_walk_over_too_many_views_is_given_up() -> None:
    rule = parse_rule("bb3")
    transducer = rule.transducer()
    assert transducer is not None
    assert all_steps(transducer, rule.alphabet, most=100) is None


def test_other_samples_are_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lengths.py").write_text(f"from {__name__} import run_lengths\n", "utf-8")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.chdir(tmp_path)
    samples = few_probes("lengths:run_lengths", monkeypatch, "AB")
    rows = [row for step in range(40) for row in samples.batch(step, 32)]
    assert len(rows) == 40 * 32
    assert "left out, unlike all of the first 3: " in samples.left_out
    assert len(samples.validation_rows(200)) < 200


def test_training_on_what_cannot_be_learnt_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = few_probes("copy", monkeypatch)
    samples.tokenizer = few_probes("copy", monkeypatch, "Q").tokenizer
    samples._remembered.clear()
    monkeypatch.setattr(source, "_DRAWS", 3)
    with pytest.raises(InputError, match="hardly any sample can be learnt: the symbol"):
        samples.batch(0, 32)

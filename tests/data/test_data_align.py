"""Steps for pairs whose rule is unknown."""

from collections.abc import Callable

import numpy as np
import pytest

from ahx.data.alignment import Alignment, infer_alignment, plain_steps
from ahx.data.samples.sampler import Sampler
from ahx.data.teacher import choose_teacher, teacher_from_json
from ahx.errors import CheckpointError, InputError
from ahx.rules.transducer import STOP, Step, run, written


def pairs_of(function: Callable[[str], str], alphabet: str = "ABC", n: int = 500) -> list[tuple[str, str]]:
    return [(text, function(text)) for text in Sampler(alphabet, 0, 8).draw(np.random.default_rng(0), n)]


WORDS = str.maketrans({"A": "", "B": "BAC", "C": "x"})


@pytest.mark.parametrize(
    ("function", "alignment"),
    [
        (str, Alignment("left", {"A": 1, "B": 1, "C": 1})),
        (lambda text: text.replace("A", "AA"), Alignment("left", {"A": 2, "B": 1, "C": 1})),
        (lambda text: text.translate(WORDS), Alignment("left", {"A": 0, "B": 3, "C": 1})),
        (lambda text: text[::-1], Alignment("right", {"A": 1, "B": 1, "C": 1})),
        (lambda text: text[::-1].translate(WORDS), Alignment("right", {"A": 0, "B": 3, "C": 1})),
        # Each symbol takes its left neighbour's place: no function of the symbol, but one of its surroundings.
        (lambda text: text[:1] + text[:-1], Alignment("left", {"A": 1, "B": 1, "C": 1})),
        (lambda text: (text[:1] + text[:-1])[::-1], Alignment("right", {"A": 1, "B": 1, "C": 1})),
        # As long as its input, and yet nothing that is written depends on what stands there.
        (lambda text: "".join(sorted(text)), None),
        (lambda text: text + "!", None),
        (lambda text: text * len(text), None),
        (lambda text: text[: len(text) // 2], None),
    ],
)
def test_infer_alignment(function: Callable[[str], str], alignment: Alignment | None) -> None:
    pairs = pairs_of(function)
    assert infer_alignment(pairs) == alignment
    if alignment is not None:
        assert all(written(alignment.steps(*pair)) == pair[1] for pair in pairs)


def test_one_pair_that_does_not_fit_is_enough() -> None:
    assert infer_alignment([*pairs_of(str), ("AB", "ABB")]) is None


def test_rare_symbols_count() -> None:
    pairs = [*pairs_of(str, n=9_000), ("AZ", "Azz")]
    assert infer_alignment(pairs) == Alignment("left", {"A": 1, "B": 1, "C": 1, "Z": 2})


@pytest.mark.parametrize("pairs", [[], [("", "")], [("", "A")]])
def test_nothing_to_align(pairs: list[tuple[str, str]]) -> None:
    assert infer_alignment(pairs) is None


def test_steps_count_in_the_state_and_move_with_the_last_symbol() -> None:
    assert Alignment("right", {"A": 3, "B": 0}).steps("AB", "xyz") == [
        Step("", -1),
        Step("x", 0, "1"),
        Step("y", 0, "2"),
        Step("z", -1),
        Step(STOP),
    ]
    assert plain_steps("xy") == [Step("x"), Step("y"), Step(STOP)]


@pytest.mark.parametrize("pair", [("AB", "AAB"), ("AX", "AA")])
def test_a_pair_of_another_length_has_no_steps(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=r"is not what .* should give by length"):
        Alignment("left", {"A": 1, "B": 1}).steps(*pair)


def test_the_machine_of_the_rule_comes_first_then_an_alignment_then_nothing(double_a, rule_of) -> None:
    pairs = [(text, double_a.apply(text)) for text in Sampler("AB", 0, 5).every()]
    kinds = [
        choose_teacher(double_a, pairs, True).kind,
        choose_teacher(rule_of(double_a.apply), pairs, True).kind,
        choose_teacher(None, pairs, True).kind,
        choose_teacher(None, [*pairs, ("B", "BBB")], True).kind,
        choose_teacher(double_a, pairs, False).kind,
    ]
    assert kinds == ["machine", "alignment", "alignment", "plain", "plain"]


def test_machine_and_alignment_teach_the_same_steps(double_a) -> None:
    pairs = [(text, double_a.apply(text)) for text in Sampler("AB", 0, 5).every()]
    aligned = choose_teacher(None, pairs, True)
    for text, output in pairs:
        assert aligned.steps(text, output) == list(run(double_a.transducer(), text))


def test_teachers_survive_json(double_a) -> None:
    for pairs, rule in (([("AB", "AAB"), ("A", "AA")], None), ([("A", "AAB"), ("A", "")], None), ([], double_a)):
        teacher = choose_teacher(rule, pairs, True)
        assert teacher_from_json(teacher.to_json(), rule) == teacher
    for damaged in ({}, {"kind": "wizard"}, {"kind": "machine"}, {"kind": "alignment", "start": "up", "lengths": {}}):
        with pytest.raises(CheckpointError, match="does not describe a teacher"):
            teacher_from_json(damaged)


def test_a_machine_contradicts_wrong_outputs(double_a) -> None:
    with pytest.raises(InputError, match="the rule 'a test rule' turns 'AB' into 'AAB', not 'AB'"):
        choose_teacher(double_a, [], True).steps("AB", "AB")

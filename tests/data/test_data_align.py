"""Steps for pairs whose rule is unknown."""

import json
import random
from collections.abc import Callable

import numpy as np
import pytest

from ahx.data.alignment import Alignment, infer_alignment, plain_steps
from ahx.data.files.batched_teacher import BatchedTeacher
from ahx.data.files.block import block_of
from ahx.data.files.fit import fit
from ahx.data.files.reader import Reader
from ahx.data.monotone import chunks, expectation
from ahx.data.monotone.alignment import MonotoneAlignment, find_monotone
from ahx.data.samples.sampler import Sampler
from ahx.data.teacher import AlignmentTeacher, MonotoneTeacher, choose_teacher, teacher_from_json
from ahx.errors import CheckpointError, InputError
from ahx.model.build import default_heads
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


def context(text: str) -> str:
    """AB gives X and any other B gives YY; C is dropped before A. Lengths do not tell which is which."""
    return text.replace("CA", "A").replace("AB", "X").replace("B", "YY")


def sum_of(text: str) -> str:
    return str(sum(map(int, text.split("+"))))


def monotone(function: Callable[[str], str], alphabet: str = "ABCD", n: int = 600) -> MonotoneAlignment:
    found = find_monotone(pairs_of(function, alphabet, n))
    assert isinstance(found, MonotoneAlignment), found
    return found


@pytest.mark.parametrize(
    ("function", "start"), [(context, "left"), (lambda text: context(text)[::-1], "right"), (lambda t: t + "!", "left")]
)
def test_steps_of_a_monotone_alignment_follow_from_windows(function: Callable[[str], str], start: str) -> None:
    found = monotone(function)
    assert (found.start, found.evidence.whole) == (start, False)
    assert found.evidence.settled == 1.0
    seen: dict[object, Step] = {}
    for text, output in pairs_of(function, "ABCD", 500):
        steps = found.steps(text, output)
        assert written(steps) == output
        cursor, state = 0 if start == "left" else len(text) - 1, ""
        edged, (low, high) = f"<<<<<<<{text}>>>>>>>", found.evidence.reads
        for step in steps:
            view = edged[7 + cursor + min(low, -1) : 8 + cursor + max(high, 1)]
            assert seen.setdefault((view, state), step) == step
            cursor, state = cursor + step.move, step.state


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        (pairs_of(lambda text: "".join(sorted(text)), "ABCDEFGH", 2_000), "settle only"),
        ([(f"{a}+{b * 7 % 97}", sum_of(f"{a}+{b * 7 % 97}")) for a in range(90) for b in range(30)], "settle only"),
        ([("A", "B")], "there are only 1 different input"),
        ([(f"{n}", "x" * 50) for n in range(100)], "26 times as long"),
        ([("A" * n, "A" * n) for n in range(1_000, 1_100)], "too long"),
    ],
)
def test_no_monotone_alignment(pairs: list[tuple[str, str]], why: str) -> None:
    found = find_monotone(pairs)
    assert isinstance(found, str)
    assert why in found


def test_tables_have_rows_for_neighbours_only_as_far_as_they_fit(monkeypatch) -> None:
    sizes = []
    for most in (1_000, 150):
        for module in (expectation, chunks):
            monkeypatch.setattr(module, "MOST_ENTRIES", most)
        fitted = expectation.fit_chunks([pair for pair in pairs_of(context, "ABCD", 300) if pair[0]], 3)
        assert fitted is not None
        sizes.append(fitted[0].table.values_RC.size)
        assert sizes[-1] <= most
    assert sizes[0] > 150


def test_a_mark_far_away_calls_for_heads_that_see_everything() -> None:
    pairs = [(f"{tag}:{t}", t.lower() + tag * 2) for tag in "PQ" for t, _ in pairs_of(str, "ABCD", 1_000) if len(t) > 3]
    found = find_monotone(pairs)
    assert isinstance(found, MonotoneAlignment)
    assert (found.evidence.whole, found.evidence.narrow) == (True, False)
    assert default_heads(2, 4, sees_all=MonotoneTeacher(found).sees_all) == ("sccg", "cccg")


def test_a_window_that_would_have_to_be_wider_calls_for_them_too() -> None:
    def shouted(text: str) -> str:
        """Upper case where an A stands 6 symbols before, or 8 before and a B just before."""
        before = [f"........{text}"[n : n + 8] for n in range(len(text))]
        return "".join(
            c if b[-6] == "A" or (b[-8], b[-1]) == ("A", "B") else c.lower() for c, b in zip(text, before, strict=True)
        )

    draw = random.Random(0)
    texts = ["".join(draw.choices("ABC", k=draw.randint(4, 16))) for _ in range(3_000)]
    found = find_monotone([(text, shouted(text)) for text in texts])
    assert isinstance(found, MonotoneAlignment)
    assert (found.evidence.whole, found.evidence.narrow) == (True, True)
    assert found.evidence.reads == (-6, 6)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_block_of_lines_has_the_steps_of_each(reverse: bool) -> None:
    teacher = MonotoneTeacher(monotone(lambda text: context(text)[:: -1 if reverse else 1]))
    odd = [("", ""), ("", "YX"), ("A", "XYXYXYXYXY"), ("QQ", "\u0416"), ("ABAB", "")]
    pairs = [*odd, *((text, context(text)) for text, _ in pairs_of(str, "ABCD", 50))]
    block = BatchedTeacher(teacher).steps(block_of(pairs))
    assert block is not None
    numbers, together = iter(block.numbers.tolist()), []
    for length in block.per_line.tolist():
        together.append([block.step(next(numbers)) for _ in range(length)] + [Step(STOP)])
    assert together == [teacher.steps(*pair) for pair in pairs]
    assert [written(steps) for steps in together] == [output for _, output in pairs]


def test_a_monotone_teacher_survives_json() -> None:
    teacher = MonotoneTeacher(monotone(context))
    data = json.loads(json.dumps(teacher.to_json()))
    assert teacher_from_json(data) == teacher
    for name, value in {
        "longest": 10**6,
        "alone": {"AB": {}},
        "after": {"A?": {"": 1.0}},
        "reads": [1],
        "start": "up",
    }.items():
        with pytest.raises(CheckpointError, match="does not describe a teacher"):
            teacher_from_json({**data, name: value})


def test_an_odd_line_does_not_hide_the_alignment(tmp_path) -> None:
    file = tmp_path / "odd.txt"
    lines = ["AB,AB", *(f"{text},{text.replace('A', 'AA')}" for text, _ in pairs_of(str, "ABCD", 1_000)), "A,DDD"]
    file.write_text("\n".join(lines))
    teacher, _ = fit([file], None, use_cursor=True, reader=(reader := Reader()))
    assert isinstance(teacher, AlignmentTeacher)
    assert "2 of 1,002 lines do not fit what all others do" in reader.notes()[1]
    assert teacher.steps("AB", "AAB") == [Step("A", 0, "1"), Step("A", 1), Step("B", 1), Step(STOP)]


@pytest.mark.parametrize("distance", [0, 1, 3])
def test_fixed_lengths_have_the_window_that_chunks_depend_on(tmp_path, distance: int) -> None:
    def output(text: str) -> str:
        """B becomes b where A stands so far to its right."""
        return "".join("b" if s + text[i + distance : i + distance + 1] == "BA" else s for i, s in enumerate(text))

    file = tmp_path / "near.txt"
    file.write_text("".join(f"{text},{output(text)}\n" for text, _ in pairs_of(str, "ABCDEFGH", 2_000) if text))
    teacher, _ = fit([file], None, use_cursor=True)
    assert isinstance(teacher, AlignmentTeacher)
    assert teacher.reads[1] >= distance if distance > 1 else teacher.reads == (0, 0)  # offsets -1 to 1 are always there
    assert teacher_from_json(json.loads(json.dumps(teacher.to_json()))) == teacher

"""Every family against known outputs, and every transducer against its rule."""

import random
from collections import Counter

import pytest
from rule_cases import CASES, PRESET_CASES

from ahx.errors import InputError
from ahx.rules import parse_rule, presets
from ahx.rules.parse import interpreter_kind
from ahx.rules.transducer import NEXT, STOP, written

ALL_CASES = CASES + PRESET_CASES
# Interpreters take programs, not random strings; test_interpreter.py has them.
ALL_SPECS = [spec for spec, _ in ALL_CASES if interpreter_kind(spec) is None]


@pytest.mark.parametrize(("spec", "pairs"), ALL_CASES)
def test_known_answers(spec: str, pairs: list[tuple[str, str]]) -> None:
    rule = parse_rule(spec)
    assert [(given, rule.apply(given)) for given, _ in pairs] == pairs


@pytest.mark.parametrize("name", presets())
def test_every_preset_has_an_example_and_a_description(name: str) -> None:
    preset = presets()[name]
    assert preset.examples
    assert preset.description.endswith((".", ")"))


@pytest.mark.parametrize("spec", ALL_SPECS)
def test_the_transducer_computes_the_rule(spec: str) -> None:
    rule = parse_rule(spec)
    rng = random.Random(spec)
    texts = [given for given, _ in dict(ALL_CASES)[spec]]
    texts += ["".join(rng.choices(rule.alphabet, k=rng.randrange(12))) for _ in range(60)]
    compared = 0
    for text in texts:
        try:
            output = rule.apply(text, limit=200)
        except InputError:  # a Turing machine that does not halt on this tape
            continue
        steps = rule.steps(text)
        assert steps is not None
        assert written(steps) == output, text
        assert steps[-1].symbol == STOP
        assert [s.symbol for s in steps].count(STOP) == 1
        assert list(rule.trace(text))[-1] == output
        compared += 1
    # The universal machines halt on few random tapes; test_universal.py runs them on tapes of their own.
    assert compared >= len(dict(ALL_CASES)[spec]) + (0 if spec.startswith("utm") else 10)


@pytest.mark.parametrize("spec", ALL_SPECS)
def test_a_rules_spec_reads_back_as_the_same_rule(spec: str) -> None:
    rule = parse_rule(spec)
    assert parse_rule(rule.spec) == rule
    assert parse_rule(f"{rule.spec}; alphabet=10").alphabet == "10"


@pytest.mark.parametrize(
    ("spec", "text", "trace"),
    [
        ("A -> AB; steps=2", "A", ["A", "AB", "ABB"]),
        ("lsystem: A -> AB, B -> A; n=3", "A", ["A", "AB", "ABA", "ABAAB"]),
        ("sort", "CBA", ["CBA", "CAB", "ACB", "ABC"]),
        ("tag: 2; a -> bc, b -> a, c -> aaa; steps=3", "aaa", ["aaa", "abc", "cbc", "caaa"]),
        ("ca: 90; steps=2", "00100", ["00100", "01010", "10001"]),
        ("bb4; steps=3", "", ["A0", "1B0", "A11", "B011"]),
        ("reverse", "AB", ["AB", "BA"]),
    ],
)
def test_a_trace_has_every_configuration(spec: str, text: str, trace: list[str]) -> None:
    assert list(parse_rule(spec).trace(text)) == trace


@pytest.mark.parametrize("spec", ["sort", "collatz", "A -> AB; steps=4", "ca: 30; steps=5", "bb3"])
def test_each_pass_of_the_transducer_writes_one_configuration(spec: str) -> None:
    rule = parse_rule(spec)
    text = {"bb3": "A0", "collatz": "aaa", "sort": "CBA"}.get(spec, rule.alphabet * 2)
    passes, begun = [text], 0
    steps = rule.steps(text) or []
    for at, step in enumerate(steps):
        if step.symbol in (NEXT, STOP):
            passes.append(written(steps[begun:at]))
            begun = at + 1
    trace = list(rule.trace(text))
    assert passes[: len(trace)] == trace
    assert passes[len(trace) :] in ([], [trace[-1]])  # where the end is seen only by reading the last string again


def binary(n: int) -> str:
    return f"{n:b}"


def test_presets_against_python() -> None:
    rng = random.Random(7)
    word = "".join(rng.choices("ABC", k=200))
    apply = {name: parse_rule(name).apply for name in presets()}
    assert apply["reverse"](word) == word[::-1]
    assert apply["duplicate"](word) == word + word
    assert apply["palindrome"](word) == word + word[::-1]
    assert apply["sort"](word[:30]) == "".join(sorted(word[:30]))
    assert apply["rot13"](apply["rot13"](word)) == word
    for n in [*range(1, 70), 2**64 - 1, 2**64]:
        assert apply["increment"](binary(n)) == binary(n + 1)
        assert apply["increment"]("00" + binary(n)) == f"{n + 1:0{len(binary(n)) + 2}b}"
        assert apply["parity"](binary(n)) == str(n.bit_count() % 2)
    for n in range(20):
        assert apply["binary_to_unary"](binary(n)) == "|" * n
        assert apply["unary_multiply"]("1" * n + "*" + "111") == "111" * n


def test_increment_takes_a_linear_number_of_steps() -> None:
    for text in ("1" * 500, "0" * 500, "10" * 250, "0" + "1" * 499):
        assert len(parse_rule("increment").steps(text) or []) <= 4 * len(text)


def test_the_collatz_tag_system_passes_through_collatz_numbers() -> None:
    n, numbers = 7, [7]
    while n > 1:
        n = n // 2 if n % 2 == 0 else (3 * n + 1) // 2
        numbers.append(n)
    seen = [len(text) for text in parse_rule("collatz").trace("a" * 7) if set(text) == {"a"}]
    assert seen == numbers


@pytest.mark.parametrize(
    ("spec", "steps", "marks"),
    [
        ("1RB1LB_1LA1RZ", 6, 4),
        ("bb3", 21, 5),
        ("1RB1RZ_0RC1RB_1LC1LA", 14, 6),
        ("bb4", 107, 13),
        ("1RB2LB1RZ_2LA2RB1LB", 38, 9),
    ],
)
def test_busy_beavers(spec: str, steps: int, marks: int) -> None:
    rule = parse_rule(spec)
    trace = list(rule.trace(""))
    cells = Counter(trace[-1])
    assert (len(trace) - 1, cells["1"] + cells["2"]) == (steps, marks)
    assert rule.apply("", limit=steps) == trace[-1]
    with pytest.raises(InputError, match=f"within {steps - 1} steps"):
        rule.apply("", limit=steps - 1)


@pytest.mark.parametrize("name", ["bb4", "bb5"])
def test_the_fast_turing_machine_agrees_with_the_trace(name: str) -> None:
    *_, last = parse_rule(f"{name}; steps=3000").trace("0110")
    assert parse_rule(f"{name}; steps=3000").apply("0110") == last


def test_the_busy_beaver_with_five_states_goes_on_for_long() -> None:
    with pytest.raises(InputError, match="did not stop on '' within 10,000 steps; take a rule or an input"):
        parse_rule("bb5").apply("", limit=10_000)


@pytest.mark.slow
def test_the_busy_beaver_with_five_states_halts() -> None:
    rule = parse_rule("bb5")
    assert rule.summary(rule.apply("", limit=47_176_870)) == "4,098 ones"


@pytest.mark.parametrize(
    ("spec", "text", "sentence"),
    [
        ("markov: A -> A", "A", "did not stop on 'A' within 100 steps"),
        ("tag: 1; a -> a", "a", "did not stop on 'a' within 100 steps"),
        ("ca: 30; steps=101", "1", "did not stop on '1' within 100 steps"),
        ("transducer: q > -> next q", "", "did not stop on '' within 100 steps"),
        ("1RA1RA_1LA1LA", "", "did not stop on '' within 100 steps"),
        ("ca: 30", "01a", "'a' in '01a' is not a cell"),
        ("increment", "12", "no entry for the state read1 on the symbol '2'"),
        ("transducer: q A -> A R q", "A", "no entry for the state q at the right end"),
        ("bb4", "0x", "'x' in '0x' is neither a symbol of the tape"),
        ("bb4", "A0B0", "has 2 state letters; write one"),
        ("bb4", "01A", "write the scanned cell after it, as in '01A0'"),
    ],
)
def test_runs_that_cannot_be_finished(spec: str, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence.replace("?", r"\?")):
        parse_rule(spec).apply(text, limit=100)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("lsystem: A -> AA; n=60", "would make 131,072 symbols of 'AAAA"),
        ("A -> ABA; n=60", "would make 131,071 symbols of 'ABAB"),
        ("markov: A -> AA", "made 1,414 symbols of 'A' .1,000,405 written in 1,413 steps"),
        ("tag: 1; A -> AA", "made 1,414 symbols of 'A'"),
    ],
)
def test_runs_that_grow_too_long(spec: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ahx.rules.rule.LENGTH_LIMIT", 100_000)
    monkeypatch.setattr("ahx.rules.rule.WORK_LIMIT", 1_000_000)
    with pytest.raises(InputError, match=sentence):
        parse_rule(spec).apply("A")


def test_a_run_of_exactly_the_limit_is_finished() -> None:
    assert parse_rule("sort").apply("CBA", limit=3) == "ABC"
    with pytest.raises(InputError, match="within 2 steps"):
        parse_rule("sort").apply("CBA", limit=2)


def test_too_many_passes_to_count_leave_no_transducer() -> None:
    assert parse_rule("ca: 30; steps=16").transducer() is not None
    assert parse_rule("ca: 30; steps=17").steps("1") is None
    assert len(list(parse_rule("ca: 30; steps=17").trace("1"))) == 18


def test_examples_leave_out_what_does_not_end() -> None:
    assert len(parse_rule("double_a").examples(2)) == 2
    loops = parse_rule("markov: B -> B; alphabet=AB").examples(3)
    assert all("B" not in given for given, _ in loops)

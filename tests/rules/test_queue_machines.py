"""Queue machines against their rules; every window that occurs is listed."""

import random
from itertools import islice

import pytest

from ahx.errors import InputError
from ahx.rules import parse_rule
from ahx.rules.transducer import STOP, run

RULES = {
    "bb3": ["", "1", "0110"],
    "bb4": ["", "01B1"],
    "1RB1LC_1RC1RB_1RD0LE_1LA1LD_1RZ0LA": ["", "E1", "0110"],
    "1RA---_---1RB; start=B; blank=1": ["", "01", "A1"],
    "utm46": ["1C24", "1A1"],
    "utm64": ["13333A22", "F1"],
    "rule110": ["0001101", "1", "10"],
    "ca: 90; boundary=1": ["0010"],
    "collatz": ["aaa", "aaaaa"],
    "tag: 3; a -> , b -> bb": ["aaab", "babaa"],
    "lag: 2; aa -> b, ab -> ba, ba -> ": ["aab", "abbab"],
}
STEPS = 200


@pytest.mark.parametrize(("spec", "text"), [(spec, text) for spec, texts in RULES.items() for text in texts])
def test_a_queue_goes_through_the_configurations_of_its_rule(spec: str, text: str) -> None:
    rule = parse_rule(spec)
    machine = rule.queue()
    assert machine is not None
    queue, cursor, state = machine.load(text), 0, ""
    known, got = set(machine.windows()), [machine.unload(queue)]
    for step in run(machine, queue):
        view = tuple(queue[cursor : cursor + machine.window])
        if len(view) == machine.window:
            assert view in known
        if step.symbol == STOP:
            break
        if step.symbol:
            queue.append(step.symbol)
        cursor, state = cursor + step.move, step.state
        if step.symbol == machine.mark if machine.mark else step.move:
            got.append(machine.unload(queue[cursor:]))
        if len(got) > STEPS:
            break
    assert not state
    assert got == list(islice(rule.unlimited().trace(text), STEPS + 1))


def test_windows_are_listed_once_and_hold_for_random_machines() -> None:
    rng = random.Random(5)
    for _ in range(20):
        states, symbols = rng.randint(1, 4), rng.randint(2, 3)
        rows = (
            "".join(
                f"{rng.randrange(symbols)}{rng.choice('LR')}{rng.choice('ABCD'[:states] + 'Z')}" for _ in range(symbols)
            )
            for _ in range(states)
        )
        machine = parse_rule("turing: " + "_".join(rows)).queue()
        assert machine is not None
        windows = list(machine.windows())
        assert len(windows) == len(set(windows))
        queue, cursor = machine.load("".join(rng.choices("01", k=rng.randint(0, 3)))), 0
        for step in islice(run(machine, queue), 500):
            assert tuple(queue[cursor : cursor + 3]) in windows
            if step.symbol == STOP:
                break
            queue.append(step.symbol)
            cursor += step.move


@pytest.mark.parametrize(
    ("spec", "text"), [("rule110", ""), ("rule110", "012"), ("collatz", "aXb"), ("bb3", "9"), ("1RB0LA_0LA1RB", "1Z0")]
)
def test_a_text_that_is_no_queue_is_refused(spec: str, text: str) -> None:
    machine = parse_rule(spec).queue()
    assert machine is not None
    with pytest.raises(InputError):
        machine.load(text)


def test_rules_that_need_more_than_a_queue_have_none() -> None:
    assert [parse_rule(spec).queue() for spec in ("double_a", "ca: 110; boundary=cyclic", "reverse")] == [None] * 3

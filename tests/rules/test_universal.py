"""The universal machines simulate the systems that are written on their tapes."""

import re

import pytest

from ahx.errors import InputError
from ahx.rules import parse_rule
from ahx.rules.families.universal_machines import (
    BiTag,
    neary_woods_64_configuration,
    neary_woods_configuration,
    neary_woods_word,
    rogozhin_configuration,
    rogozhin_weights,
)


def test_rogozhin_s_machine_simulates_a_tag_system() -> None:
    productions = [[2, 2, 1], [2, 2, 3, 0], [2, 2]]
    words = [[0, 2, 1, 2]]
    for _ in range(3):
        first, _, *rest = words[-1]
        words.append(rest + productions[first])
    letters = {ones: letter for letter, ones in enumerate(rogozhin_weights(productions))}
    start = rogozhin_configuration(productions, words[0])
    program = start[: start.index("A")]
    found: list[list[int]] = []
    for configuration in parse_rule("utm46; steps=50000").trace(start):
        # State A, the program as it was, what has been dealt with, and then ones between 5s: a word.
        data = re.fullmatch(program + "[0-5]*A(1+(?:51+)*)0*", configuration)
        if data and all(len(ones) in letters for ones in data[1].split("5")):
            found.append([letters[len(ones)] for ones in data[1].split("5")])
    assert found == words


def test_rogozhin_s_machine_halts_with_the_tag_system() -> None:
    output = parse_rule("utm46").apply(rogozhin_configuration([[1, 1, 2], [1, 1]], [0, 1, 2, 1]))
    assert re.search("[CD]4", output)  # the two cells of the table where it halts


def bi_tag_words(h: int, productions: dict[tuple[int, int], tuple[int, ...]], word: list[BiTag]) -> list[list[BiTag]]:
    """The words of a bi-tag system, to its end."""
    words = [word]
    while words[-1][0] != ("e", h):
        (kind, number), *rest = words[-1]
        if kind == "a":
            words.append([*rest, (kind, number)])
        else:
            (_, i), *rest = rest
            *own, e = productions[number, i]
            words.append([*rest, *(("a", a) for a in own), ("e", e)])
    return words


def test_neary_and_woods_s_machine_simulates_a_bi_tag_system_to_its_end() -> None:
    productions = {(1, 1): (2, 2), (1, 2): (1, 2, 2), (2, 1): (2, 1, 1), (2, 2): (1, 3)}
    words = bi_tag_words(3, productions, [("e", 1), ("a", 1), ("a", 2)])
    start = neary_woods_configuration(2, 3, productions, words[0])
    program = start[: start.index("A") - 1]
    waiting = [neary_woods_word(2, 3, word).rstrip("0") for word in words]
    configuration = ""
    for configuration in parse_rule("utm15_2").trace(start):
        before, state, after = configuration.partition("A")
        if state and waiting and before.startswith(program) and after.rstrip("0") == "0" + waiting[0]:
            del waiting[0]
    assert waiting == []
    assert "J1" in configuration  # the one cell of the table without an action


def read_64(q: int, h: int, tape: str) -> list[BiTag]:
    """The word that the tape of utm64 has."""
    word: list[BiTag] = []
    *runs, last = tape.split("3")
    for twos in map(len, runs):
        e, a = divmod(twos, 16 * q)
        word += [("e", e)] if e else []
        word += [("a", (a + 5) // 8 if a % 4 == 3 else (a + 7) // 8 - q)] if e != h else []
    return word + ([("e", len(last) // (16 * q))] if len(last) > 1 else [])


@pytest.mark.parametrize(
    ("q", "h", "productions"),
    [
        (1, 2, {(1, 1): (1, 2)}),
        (2, 2, {(1, 1): (2, 1), (1, 2): (1, 2)}),
        (1, 3, {(1, 1): (1, 1, 2), (2, 1): (1, 3)}),
    ],
)
def test_the_machine_with_six_states_simulates_bi_tag_systems_to_their_end(
    q: int, h: int, productions: dict[tuple[int, int], tuple[int, ...]]
) -> None:
    words = bi_tag_words(h, productions, [("e", 1), ("a", 1), ("a", q)])
    start = neary_woods_64_configuration(q, h, productions, words[0])
    program = start[: start.index("A")]
    found, newly = [], True
    configuration = ""
    for configuration in parse_rule("utm64; steps=100000").trace(start):
        before, state, after = configuration.partition("A")
        # State A, the program as it was, what has been dealt with as 1s, and before the first 2 nothing is read of it.
        if (
            state
            and newly
            and before.startswith(program)
            and not before[len(program) :].strip("1")
            and after[:1] == "2"
        ):
            found.append(read_64(q, h, after))
        newly = configuration.partition("F")[2][:1] == "3"  # the step that begins with a new letter
    assert found == words
    assert configuration.startswith("F0")  # the one cell of the table without an action


def test_a_tag_system_of_another_class_is_refused() -> None:
    with pytest.raises(InputError, match="must be 1 1"):
        rogozhin_configuration([[1, 1, 2], [0, 1]], [0])
    with pytest.raises(InputError, match="one letter"):
        neary_woods_64_configuration(1, 2, {(1, 1): (1, 1, 2)}, [("e", 1), ("a", 1)])

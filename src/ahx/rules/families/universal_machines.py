"""Programs for the universal machines: tag systems as starting configurations of `utm46`, `utm64` and `utm15_2`.

A universal machine computes anything computable, given the right tape. These simulate tag systems, which are universal
themselves (Cocke & Minsky 1964; Neary & Woods 2009).
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from ahx.errors import InputError


def rogozhin_configuration(productions: Sequence[Sequence[int]], word: Sequence[int]) -> str:
    """The configuration in which utm46 begins to simulate a 2-tag system on `word`.

    Letters are 0 to n; `productions` has a word for 0 to n - 1, and n halts. Raises InputError unless the system is of
    the class that the machine simulates: with d = n - 1, the word of d is d d, all others begin with d d and go on.
    Source: Rogozhin 1996 (see the preset), section 8.
    """
    n = len(productions)
    d = n - 1
    if list(productions[d]) != [d, d] or any(list(own[:2]) != [d, d] or len(own) < 3 for own in productions[:d]):
        raise InputError(f"the word of letter {d} must be {d} {d}, and all other words must begin with it and go on")
    weights = rogozhin_weights(productions)
    codes = []
    for letter in range(n - 1, -1, -1):
        ones = [weights[other] for other in reversed(productions[letter][2:])]
        ones += [weights[d], weights[d] - weights[letter]]
        codes.append("212" + "22".join("1" * count for count in ones))
    return "42" + "".join(codes) + "2A" + "5".join("1" * weights[letter] for letter in word)


def rogozhin_weights(productions: Sequence[Sequence[int]]) -> list[int]:
    """How many ones encode each letter on the tape of utm46."""
    return list(accumulate((2 * len(own) for own in productions), initial=1))


BiTag = tuple[str, int]  # ("a", i) or ("e", j), both counted from 1


def neary_woods_configuration(
    q: int, h: int, productions: Mapping[tuple[int, int], Sequence[int]], word: Sequence[BiTag]
) -> str:
    """The configuration in which utm15_2 begins to simulate a bi-tag system on `word`, which has one e.

    Letters are a1 to aq and e1 to eh. An a in front moves to the end; e_j a_i in front are deleted and their word is
    appended: `productions[j, i]` has the numbers of one or two a's and then that of an e. eh halts.
    Source: Neary & Woods 2009 (see the preset), definition 3.1 and tables 1 to 3.
    """

    def active(*letters: int) -> str:
        *own, e = letters
        last = e == h
        short = 2 * (len(own) - 1)
        code = "cb" * (3 - short) + "cccb" * 2 if last else "cb" * (5 - short)
        code += "cc" * (8 * h * q + 3 if last else 8 * e * q)
        return code + "".join("cccb" * 2 + "cc" * (8 * a - 5) for a in reversed(own))

    keys = [(j, i) for j in range(h - 1, 0, -1) for i in range(q, 0, -1)]
    program = "bbcccb" + "cb".join(active(*productions[key]) for key in keys) + "cb" * 2
    program += ("cb" * 2).join("cb" * 4 + "cccb" * 2 + "cc" * (8 * i - 5) for i in range(q, 0, -1)) + "cb" * 3
    return _binary(program + "b") + "A" + "0" + neary_woods_word(q, h, word)


def neary_woods_word(q: int, h: int, word: Sequence[BiTag]) -> str:
    """The letters of a bi-tag system's word as the machine's tape has them, as 0 and 1."""
    codes = []
    for kind, i in word:
        if kind == "a":
            codes.append("cb" * (8 * i - 5) + "bb")
        else:
            codes.append("cb" * (8 * h * q + 3) + "bb" if i == h else "cb" * (8 * i * q))
    return _binary("".join(codes))


def neary_woods_64_configuration(
    q: int, h: int, productions: Mapping[tuple[int, int], Sequence[int]], word: Sequence[BiTag]
) -> str:
    """The configuration in which utm64 begins to simulate a bi-tag system, as in `neary_woods_configuration`.

    The encoding was found by following the machine. In A and B it replaces one 3 of the program, from the right, for
    each 2 of the letters in front, and so finds their object, which has eight 3s. In C to F it executes the object from
    the right: a 3 begins, 111 appends 22, 311 appends 32, 33 ends; one 22 is appended before. Runs of 1 must be even.
    So the second letter of a production has a code of its own: letter q + i is read as i.

    Raises InputError for a production with two letters before the e that halts: its object has too many 3s.
    """
    if any(len(own) > 2 and own[-1] == h for own in productions.values()):
        raise InputError(f"a production that ends with e{h}, which halts, can have one letter before it on utm64")

    def appended(e: int, *letters: int) -> str:
        first, *second = letters
        own = "311" + "111" * (4 * first - 4) + "3"
        for letter in second:
            own = "311" + "111" * (4 * (q + letter) - 4) + "3" + own
        return ("311" if e == h else "") + ("111" * (8 * e * q) + "3" if e else "") + own

    objects = []
    for j in range(h):
        for i in range(1, 2 * q + 1):
            letter = (i - 1) % q + 1
            *own, e = productions[j, letter] if j else (letter, 0)
            code = appended(e, *own) + ("333" if i <= q else "3")
            objects.append("3" * (8 - code.count("3")) + code)
    return "133" + "".join(reversed(objects)) + "A" + neary_woods_64_word(q, h, word)


def neary_woods_64_word(q: int, h: int, word: Sequence[BiTag]) -> str:
    """The letters of a bi-tag system's word as the tape of utm64 has them, and the 2 that follows."""
    codes = []
    for kind, i in word:
        if kind == "a":
            codes.append("2" * (8 * i - (5 if i <= q else 7)) + "3")
        else:
            codes.append("2" * (16 * h * q + 1) + "3" if i == h else "2" * (16 * i * q))
    return "".join(codes) + "2"


def _binary(symbols: str) -> str:
    return symbols.replace("c", "0").replace("b", "1")

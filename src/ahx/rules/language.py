"""The syntax of the rule language: text becomes entries, words and options, which each family interprets.

    markov: BA -> AB, C ->. D; steps=1       family `markov`, two entries, one option
    tag: 2; a -> bc, b -> a                  family `tag`, one word, two entries

Parts are separated by a comma, a semicolon or a new line. A part with an arrow is an entry, one that begins with
`name=` is an option, any other is a list of words. A word is quoted to hold a space, a separator, an arrow or a mark.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from ahx.errors import InputError
from ahx.text.printing import masked, width
from ahx.text.suggest import did_you_mean

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OPTIONS = ("steps", "n", "alphabet")
OPTION_ALIASES = {"n": "steps"}

ONLY_MARKOV = "only Markov algorithms (markov: ...) have final rules `->.`; put a space after ->"

_TOKEN = re.compile(
    r"""(?P<space>[^\S\n]+)
      | (?P<separator>[,;\n])
      | (?P<arrow>->\.?)
      | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<bare>[A-Za-z_]+=(?=["'])|(?:(?!->)[^\s,;"'])(?:(?!->)[^\s,;])*)""",
    re.VERBOSE | re.DOTALL,
)
_OPTION = re.compile(r"([A-Za-z_]\w*)=")
_PLAIN = re.compile(r"(?:(?!->)[^\s,;:@#\"'\\])+")
_SHOWN = 100  # characters of a long line that an error shows


@dataclass(frozen=True)
class Word:
    """A run of symbols, and its position in the text."""

    text: str
    at: int
    quoted: bool = False


@dataclass(frozen=True)
class Entry:
    """`left -> right`, or `left ->. right`, which is final."""

    left: tuple[Word, ...]
    right: tuple[Word, ...]
    at: int  # position of the arrow
    final: bool


class Source:
    """The text of a rule, cut into parts, with errors that point at a character."""

    def __init__(self, text: str, begin: int = 0) -> None:
        """Reads `text` from character `begin` on. Raises InputError for a quote that is never closed."""
        self.text = text
        self.begin = begin
        self.entries: list[Entry] = []
        self.words: list[Word] = []
        self.options: dict[str, Word] = {}  # the values
        self._option_names: dict[str, Word] = {}
        part: list[Word | re.Match[str]] = []
        at = begin
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                self.fail(at, f"the quote {text[at]} is never closed")
            at = token.end()
            if token.lastgroup == "separator":
                self._add(part)
                part = []
            elif token.lastgroup == "arrow":
                part.append(token)
            elif token.lastgroup == "quoted":
                part.append(Word(re.sub(r"\\(.)", r"\1", token[0][1:-1], flags=re.DOTALL), token.start(), quoted=True))
            elif token.lastgroup == "bare":
                part.append(Word(token[0], token.start()))
        self._add(part)

    def _add(self, part: list[Word | re.Match[str]]) -> None:
        words = [word for word in part if isinstance(word, Word)]
        if len(words) > 1 and words[0].text in _OPTIONS and words[1].text[:1] == "=" and not words[1].quoted:
            typed, given = words[:2]  # with a space before the equals sign
            words[:2] = [Word(f"{typed.text}=", given.at - len(typed.text))]
            if given.text[1:]:
                words.insert(1, Word(given.text[1:], given.at + 1))
        arrows = [token for token in part if isinstance(token, re.Match)]
        if len(arrows) > 1:
            self.fail(arrows[1].start(), "expected a comma before the next rule")
        if arrows:
            at = arrows[0].start()
            left = tuple(word for word in words if word.at < at)
            right = tuple(word for word in words if word.at > at)
            self.entries.append(Entry(left, right, at, final=arrows[0][0] == "->."))
        elif words and not words[0].quoted and (option := _OPTION.match(words[0].text)):
            value = Word(words[0].text[option.end() :], words[0].at + option.end())
            if not value.text and len(words) > 1:
                value = words.pop(1)
            if len(words) > 1:
                self.fail(words[1].at, f"expected a comma or semicolon after the option {option[1]}")
            name = OPTION_ALIASES.get(option[1], option[1])
            self.options[name] = value  # the last one counts
            self._option_names[name] = Word(option[1], words[0].at)
        else:
            self.words.extend(words)

    def fail(self, at: int, message: str) -> NoReturn:
        """Raises an InputError: the sentence, the line of the text that character `at` is in, and a caret under it."""
        first = self.text.rfind("\n", 0, at) + 1
        line = self.text[first:].partition("\n")[0]
        column = at - first
        shift = max(0, column - _SHOWN // 2)
        shown = masked(re.sub(r"\s", " ", line[shift : shift + _SHOWN]))
        line_number = f" (line {self.text.count(chr(10), 0, at) + 1})" if "\n" in self.text.strip() else ""
        caret = " " * width(shown[: column - shift]) + "^"
        raise InputError(f"cannot read the rule{line_number}: {message}\n  {shown}\n  {caret}")

    def symbols(self, words: tuple[Word, ...]) -> str:
        """One side of an entry that is a plain string: at most one word."""
        if len(words) > 1:
            self.fail(words[1].at, "expected a comma or the end here; a string that contains spaces needs quotes")
        return words[0].text if words else ""

    def productions(self, left_length: int | None = None, empty_left: bool = False) -> list[tuple[str, str]]:
        """The entries as pairs of strings; checks the length of the left sides, and that no two are equal."""
        pairs: dict[str, str] = {}
        for entry in self.entries:
            left, right = self.symbols(entry.left), self.symbols(entry.right)
            at = entry.left[0].at if entry.left else entry.at
            if entry.final:
                self.fail(entry.at + 2, ONLY_MARKOV)
            if not left and not empty_left:
                self.fail(at, "expected a symbol before the arrow, as in A -> AA")
            if left_length is not None and len(left) != left_length:
                wanted = "one symbol" if left_length == 1 else f"{left_length} symbols"
                self.fail(at, f"expected {wanted} before the arrow, not {len(left)}")
            if left in pairs:
                self.fail(at, f"{left!r} has a rule already, so this one would never apply")
            pairs[left] = right
        return list(pairs.items())

    def no_words(self, example: str) -> None:
        """Checks that every part was an entry or an option."""
        if self.words:
            self.fail(self.words[0].at, f"expected an arrow, as in {example}")

    def no_entries(self, family: str) -> None:
        """Checks that there is no arrow."""
        if self.entries:
            self.fail(self.entries[0].at, f"a {family} rule has no arrows; expected only words and options")

    def check_options(self, *names: str) -> None:
        """Checks that there are no options other than `names`."""
        for name, typed in self._option_names.items():
            if name not in names:
                known = "expected " + " or ".join(f"{n}=" for n in names)
                hint = did_you_mean(typed.text, names, otherwise=known)
                self.fail(typed.at, f"this family has no option {typed.text}={hint}")

    def alphabet(self, default: str) -> str:
        """The option `alphabet=`: distinct symbols."""
        word = self.options.get("alphabet")
        if word is None:
            return default
        if not word.text:
            self.fail(word.at, "expected at least one symbol after alphabet=, as in alphabet=AB")
        first = {symbol: i for i, symbol in reversed(list(enumerate(word.text)))}
        for i, symbol in enumerate(word.text):
            if first[symbol] != i:
                self.fail(word.at + i + word.quoted, f"the symbol {symbol!r} stands in the alphabet twice")
        return word.text

    def steps(self, default: int | None) -> int | None:
        """The option `steps=` (or `n=`): a number of steps, at least 1."""
        word = self.options.get("steps")
        return default if word is None else self.number(word, 1, 10**12)

    def number(self, word: Word, least: int, greatest: int) -> int:
        """The whole number that `word` spells."""
        if not re.fullmatch("[0-9]{1,15}", word.text) or not least <= int(word.text) <= greatest:
            self.fail(word.at, f"expected a whole number from {least:,} to {greatest:,}")
        return int(word.text)

    def choice(self, name: str, choices: Iterable[str]) -> str:
        """The option `name`: one of `choices`, the first by default."""
        allowed = list(choices)
        word = self.options.get(name)
        if word is None:
            return allowed[0]
        if word.text not in allowed:
            self.fail(word.at, f"expected {name}= one of {', '.join(allowed)}")
        return word.text


def never_applied(lefts: Sequence[str], hides: Callable[[str, str], bool]) -> list[str]:
    """A sentence for each left side that an earlier one `hides`: wherever the later one fits, so does the earlier."""
    pairs = ((next((other for other in lefts[:at] if hides(other, left)), None), left) for at, left in enumerate(lefts))
    return [
        f"the rule for {left!r} never applies: that for {other!r}, which stands before it, fits wherever it does"
        for other, left in pairs
        if other is not None
    ]


def quoted(text: str) -> str:
    """`text` as a word of the language: bare where that is safe."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written_rule(left: str, right: str, final: bool = False) -> str:
    """`left -> right` in the rule language."""
    arrow = "->." if final else "->"
    return " ".join([*([quoted(left)] if left else []), arrow, *([quoted(right)] if right else [])])


def written_spec(family: str, parts: Iterable[str], **options: tuple[object, object]) -> str:
    """A whole rule in the rule language; `options` are values with their defaults, where they are left out."""
    body = ", ".join(parts)
    head = f"{family}: {body}" if family else body
    tail = [f"{name}={quoted(str(value))}" for name, (value, usual) in options.items() if value != usual]
    return "; ".join([head.strip(), *tail])


def default_alphabet(*strings: str) -> str:
    """All symbols of `strings`, sorted, and at least two, so that some symbol always stays unchanged."""
    symbols = set().union(*strings)
    if not symbols:
        return LETTERS
    spare = (letter for letter in LETTERS if letter not in symbols)
    while len(symbols) < 2:
        symbols.add(next(spare))
    return "".join(sorted(symbols))

"""From strings and steps to token numbers, and back.

A sample is one row of tokens: `<` input `>` steps, the last of which is a stop. An input token is a bare symbol. An
output token is a whole `Step`, (symbol, move, state): the model writes a symbol *and* says where it reads next.

    double_a on AB:   <   A   B   >   (A, 0, "1")  (A, +1)  (B, +1)  (stop)

Where input and output are one queue (see `ahx.rules.queue_machine`), input cells are tokens of the output too.

Tokens are composite: the model embeds each as the sum of its features, so what it learns about "A" or about "move on"
is shared by every token with that feature.

Where tokens are words or grapheme clusters, the vocabulary has one code point for each (see `ahx.data.segmentation`).

For an interpreter (see `ahx.rules.interpreters`), an input is a program and a configuration. Symbols of a program may
have several characters, such as `A0:`, and a configuration consists of the same tokens as an output.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ahx.data.segmentation import Segmentation
from ahx.errors import InputError
from ahx.rules.interpreters.interpreter import PromptToken
from ahx.rules.queue_machine import QueueMachine
from ahx.rules.transducer import NEXT, STOP, Start, Step

PAD, BEGIN, SEPARATOR = "<pad>", "<begin>", "<separator>"
CONFIGURATION = "|"  # between a program and a configuration


class Token(NamedTuple):
    """An input symbol or mark (move is None), or an output step."""

    symbol: str
    move: int | None = None
    state: str = ""


class Tokenizer:
    """A fixed vocabulary of tokens. Numbers 0, 1, 2 are padding, begin and separator."""

    def __init__(
        self, tokens: Sequence[Token], start: Start = "left", segmentation: Segmentation | None = None
    ) -> None:
        self.tokens = [Token(*token) for token in tokens]
        self.segmentation = segmentation or Segmentation()
        self.start: Start = start  # where the cursor starts after a separator
        self._symbols = [token.symbol for token in self.tokens]
        self._number = {token: number for number, token in enumerate(self.tokens)}
        self.pad, self.begin, self.separator = (self._number[Token(mark)] for mark in (PAD, BEGIN, SEPARATOR))
        self.has_program = start.startswith("program")
        self.configuration = self._number[Token(CONFIGURATION)] if self.has_program else -1
        self.stop = self._number[Token(*Step(NEXT if self.has_program else STOP))]
        self._input = {token.symbol: n for n, token in enumerate(self.tokens) if n > 2 and self._is_input(token)}

    def _is_input(self, token: Token) -> bool:
        if self.start == "queue":
            return bool(token.move) and not token.state
        return token.move is None

    @classmethod
    def fit(
        cls, samples: Iterable[tuple[str, Sequence[Step]]], alphabet: str = "", start: Start = "left",
        segmentation: Segmentation | None = None,
    ) -> "Tokenizer":  # fmt: skip
        """The vocabulary of `samples`, each an input and its steps, and of the symbols in `alphabet`."""
        symbols, steps = set(alphabet), {Step(STOP)}
        for text, taken in samples:
            symbols.update(text)
            steps.update(taken)
        marks = [Token(mark) for mark in (PAD, BEGIN, SEPARATOR)]
        tokens = marks + [Token(s) for s in sorted(symbols)] + [Token(*step) for step in sorted(steps)]
        return cls(tokens, start, segmentation)

    @classmethod
    def of_queue(cls, machine: QueueMachine) -> "Tokenizer":
        """Every cell of `machine`, and every step that it can take."""
        steps = {Step(STOP), *(Step(cell, machine.deleted) for cell in machine.cells)}
        steps.update(step for taken in machine.steps_of.values() for step in taken)
        marks = [Token(mark) for mark in (PAD, BEGIN, SEPARATOR)]
        return cls(marks + [Token(*step) for step in sorted(steps)], machine.start)

    def __len__(self) -> int:
        return len(self.tokens)

    def or_wider(self, other: "Tokenizer | None") -> "Tokenizer":
        """`other` if it has all of these tokens and the same start of the cursor; else this one."""
        if other is None or other.start != self.start or not set(self.tokens) <= set(other.tokens):
            return self
        return other if other.segmentation.to_json() == self.segmentation.to_json() else self

    @property
    def alphabet(self) -> str:
        """The symbols an input may use, one code point each."""
        return "".join(self._input)

    @property
    def shown_alphabet(self) -> str:
        """The symbols an input may use, for a sentence."""
        if not self.segmentation.has_words:
            return repr(self.alphabet)
        words = [self.segmentation.shown(symbol) for symbol in self._input]
        return f"{', '.join(map(repr, words[:8]))}{f' and {len(words) - 8:,} more' if len(words) > 8 else ''}"

    def number(self, symbol: str, move: int | None = None, state: str = "") -> int:
        """The number of a token. Raises KeyError when there is no such token."""
        return self._number[Token(symbol, move, state)]

    def encode_input(self, text: Sequence[str | PromptToken]) -> list[int]:
        """`<` text `>`, where `text` is a string or a list of symbols; with a program, what `Interpreter.prompt` gives.

        Raises InputError for an unknown symbol.
        """
        if isinstance(text, str):
            text = self.segmentation.source_symbols(text)
        table: Mapping[Any, int] = self._number if self.has_program else self._input
        try:
            return [self.begin, *(table[symbol] for symbol in text), self.separator]
        except KeyError as unknown:
            raise InputError(
                f"the symbol {self.segmentation.shown(unknown.args[0])!r} in {self._shown(text[:40])!r} is outside the "
                f"alphabet {self.shown_alphabet} that this model was trained on; use only its symbols"
            ) from None

    def encode_steps(self, steps: Sequence[Step]) -> list[int]:
        """Token numbers of `steps`. Raises InputError for a step that the vocabulary lacks."""
        try:
            return [self._number[step] for step in steps]  # type: ignore[index]  # a Step equals the Token with its parts
        except KeyError as unknown:
            raise InputError(
                f"the step {tuple(unknown.args[0])} is not in the vocabulary of {len(self)} tokens; "
                "fit the tokenizer on data that contains it"
            ) from None

    def decode(self, numbers: Iterable[int]) -> str:
        """The string that output tokens spell: symbols since the last NEXT, up to the first STOP.

        With a program in the prompt, NEXT is the stop: an answer is one configuration.
        """
        symbols = [self._symbols[number] for number in numbers]
        stop = self._symbols[self.stop]
        if stop in symbols:
            del symbols[symbols.index(stop) :]
        if NEXT in symbols:
            del symbols[: len(symbols) - symbols[::-1].index(NEXT)]
        return self.segmentation.target_text("".join(symbols))  # a silent step's symbol is the empty string

    def spell(self, prompt: Sequence[int]) -> str:
        """The text of a prompt, `<` and `>` left out."""
        marks = (self.begin, self.separator)
        return self.segmentation.source_text("".join(self._symbols[n] for n in prompt if n not in marks))

    def _shown(self, symbols: Sequence[str | PromptToken]) -> str:
        return self.segmentation.source_text("".join(map(str, symbols)))

    def to_json(self) -> dict[str, object]:
        own: dict[str, object] = {"start": self.start, "tokens": [list(token) for token in self.tokens]}
        return own if self.segmentation.changes_nothing else own | {"segmentation": self.segmentation.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tokenizer":
        segmentation = Segmentation.from_json(data["segmentation"]) if "segmentation" in data else None
        return cls([Token(*token) for token in data["tokens"]], data["start"], segmentation)

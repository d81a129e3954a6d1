"""Rules in the prompt: what all rules that read another rule before their input have in common.

An input is a program, a bar and a configuration; the output is the configuration one step later. Where no rule of the
program fits, it stays as it is. What a model that has learnt this knows is no rule but how to follow one.
"""

from abc import abstractmethod
from collections.abc import Iterator
from inspect import cleandoc
from typing import ClassVar, Self

from ahx.rules.language import Source
from ahx.rules.preset import Preset
from ahx.rules.rule import Rule, limited
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, NEXT, Start, Step

BAR = "|"
PromptToken = tuple[str, int | None, str]  # a token of an input: its text, its move (None in a program), its state


class Interpreter(Rule):
    """Any program of a kind. The docstring of a subclass is what `ahx rules show` says."""

    family = "interpreter"
    kind: ClassVar[str]  # as in `interpreter: turing`
    start: ClassVar[Start] = "program"
    reads: ClassVar[tuple[int, int]]  # offsets from the cursor that a step depends on, beside the program
    lookups: ClassVar[int] = 2  # how many things a step may have to look up in the program
    programs: ClassVar[str]  # what its programs are called
    shown: ClassVar[tuple[str, ...]]  # inputs that explain it

    @classmethod
    @abstractmethod
    def read(cls, source: Source) -> Self:
        """The interpreter of these sizes. Raises InputError."""

    @classmethod
    def preset(cls) -> Preset:
        """The interpreter of the usual sizes, by name: `turing_interpreter`."""
        return Preset(f"{cls.kind}_interpreter", f"interpreter: {cls.kind}", cleandoc(cls.__doc__ or ""))

    @property
    @abstractmethod
    def sizes(self) -> dict[str, tuple[int, int]]:
        """What makes a program small or large, with the least and the most that there can be of each."""

    @abstractmethod
    def prompt(self, text: str) -> list[PromptToken]:
        """The tokens of an input. Raises InputError for a text that is none, or has what this one cannot know."""

    @abstractmethod
    def taken(self, text: str) -> list[Step]:
        """The steps that write the next configuration after that of `text`. Raises InputError as `prompt` does."""

    def examples(self, n: int = 3) -> list[tuple[str, str]]:
        return [(text, self.apply(text)) for text in self.shown[:n]]

    def steps(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> list[Step]:
        return [*self.taken(text), Step(NEXT)]

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        """The input, and the configuration one step later."""
        return limited([text, "".join(step.symbol for step in self.taken(text))], limit)

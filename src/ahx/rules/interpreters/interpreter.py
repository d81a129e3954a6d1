"""The interface of interpreters: rules that read another rule, the program, in their input.

An input is a program, a bar and a configuration; the output is the configuration one step later. Where no rule of the
program fits, it stays unchanged. A model that learns this learns no particular rule, but how to follow any.
"""

import re
from abc import abstractmethod
from collections.abc import Iterator
from inspect import cleandoc
from typing import ClassVar, Self

from ahx.rules.language import Source, written_spec
from ahx.rules.preset import Preset
from ahx.rules.rule import Rule, limited
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, NEXT, Start, Step

BAR = "|"
PromptToken = tuple[str, int | None, str]  # text, move (None in a program) and state of one token of an input


_EXAMPLE = re.compile(r"\w+\(\"(.*)\"\)\n'(.*)'")  # of a docstring


class Interpreter(Rule):
    """Any program of a kind. The docstring of a subclass is what `ahx rules show` says."""

    family = "interpreter"
    kind: ClassVar[str]  # as in `interpreter: turing`
    start: ClassVar[Start] = "program"
    reads: ClassVar[tuple[int, int]]  # offsets from the cursor on which a step depends, besides the program
    lookups: ClassVar[int] = 2  # how many things a step may have to look up in the program
    limits: ClassVar[dict[str, tuple[int, int, int]]]  # least, usual and greatest value of each size
    programs: ClassVar[str]  # plural noun for its programs
    shown: ClassVar[tuple[str, ...]]  # inputs for `ahx rules show`

    @classmethod
    def read(cls, source: Source) -> Self:
        """The interpreter of the sizes in a rule's text. Raises InputError."""
        source.check_options(*cls.limits)
        sizes = {
            f"n_{name}": source.number(word, least, most) if (word := source.options.get(name)) else usual
            for name, (least, usual, most) in cls.limits.items()
        }
        return cls(**sizes)  # every subclass is a dataclass of its sizes

    @classmethod
    def preset(cls) -> Preset:
        """The interpreter of the usual sizes, by name: `turing_interpreter`."""
        description, *examples = cleandoc(cls.__doc__ or "").split("\n>>> ")
        pairs = [(found[1], found[2]) for one in examples if (found := _EXAMPLE.match(one))]
        return Preset(f"{cls.kind}_interpreter", f"interpreter: {cls.kind}", description.strip(), pairs)

    @property
    def spec(self) -> str:
        chosen = {name: (most, self.limits[name][1]) for name, (_, most) in self.sizes.items()}
        return written_spec("interpreter", [self.kind], **chosen)

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """The sizes of a program, such as its number of rules, each with its least and greatest value."""
        return {name: (least, getattr(self, f"n_{name}")) for name, (least, _, _) in self.limits.items()}

    @abstractmethod
    def prompt(self, text: str) -> list[PromptToken]:
        """The tokens of an input. Raises InputError for a text that is not an input, or exceeds the sizes."""

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

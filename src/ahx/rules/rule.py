"""The interface of all rules."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property

from ahx.errors import InputError
from ahx.rules.queue_machine import QueueMachine
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, HALTING_ADVICE, Step, Transducer, run

_LESS = "use a shorter input, or fewer steps with `steps=`"
LENGTH_LIMIT = 10**8  # symbols in one string
WORK_LIMIT = 10**10  # symbols in all strings of a run together: a few seconds of copying


class Rule(ABC):
    """A function from strings to strings, with its intermediate strings, and its steps where a transducer is known."""

    #: the family's name in the rule language
    family: str = "python"
    #: the symbols of a typical input, in the order in which samples are drawn from them
    alphabet: str

    @property
    @abstractmethod
    def spec(self) -> str:
        """The text that `ahx.rules.parse_rule` turns into this rule again."""

    @abstractmethod
    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        """Every intermediate string, from `text` itself to the output.

        Raises InputError for a symbol that the rule does not accept, and for a run that is not over after `limit` steps
        (a step leads from one string to the next).
        """

    def apply(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> str:
        """The output for `text`: the last string of the trace."""
        output = text
        for output in self.trace(text, limit):
            pass
        return output

    @property
    def remarks(self) -> list[str]:
        """Sentences about what the rule holds and never does."""
        return []

    def transducer(self) -> Transducer | None:
        """The transducer that computes the rule step by step, or None when none is known."""
        return self._transducer

    @cached_property
    def _transducer(self) -> Transducer | None:
        return None

    def queue(self) -> QueueMachine | None:
        """The rule, step after step without end, as a queue machine; None when none is known."""
        return None

    def unlimited(self) -> "Rule":
        """The same rule without `steps=`."""
        return self

    def steps(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> list[Step] | None:
        """The transducer's steps on `text`, or None when the rule has no transducer."""
        transducer = self.transducer()
        return None if transducer is None else list(run(transducer, text, limit))

    def snippets(self) -> tuple[str, ...]:
        """Strings on which the rule acts, such as left-hand sides: samplers insert them into random inputs."""
        return ()

    def summary(self, output: str) -> str:
        """A remark about an output, such as the number of ones on a busy beaver's tape; often empty."""
        return ""

    def shown_inputs(self) -> Iterator[str]:
        """Inputs for `examples`: a few short strings that use several symbols of the alphabet."""
        for length in (3, 4, 5, 6, 7):
            yield "".join(self.alphabet[(i * i + i // 2) % len(self.alphabet)] for i in range(length))

    def examples(self, n: int = 3) -> list[tuple[str, str]]:
        """At most `n` (input, output) pairs to show; inputs that the rule rejects or does not finish are left out."""
        pairs: list[tuple[str, str]] = []
        for text in self.shown_inputs():
            try:
                pairs.append((text, self.apply(text, limit=10_000)))
            except InputError:
                continue
            if len(pairs) == n:
                break
        return pairs


def limited(strings: Iterable[str], limit: int) -> Iterator[str]:
    """`strings`, the first of which is the input, within limits.

    Raises InputError after `limit` steps, and when the strings need too much memory or time.
    """
    given, work = "", 0
    for done, string in enumerate(strings):
        given = given if done else string
        work += len(string)
        if done > limit:
            raise endless(given, limit)
        if len(string) > LENGTH_LIMIT or work > WORK_LIMIT:
            raise InputError(
                f"the rule made {len(string):,} symbols of {given[:40]!r} ({work:,} written in {done:,} steps) and was "
                f"stopped; {_LESS}"
            )
        yield string


def check_growth(text: str, productions: Iterable[tuple[str, str]]) -> None:
    """Raises InputError when rewriting all of `text` at once would make a string too long to hold in memory."""
    if len(text) < LENGTH_LIMIT // 1000:
        return  # only a right side of a thousand symbols could exceed it, and `limited` stops that one pass later
    length = len(text) + sum(text.count(left) * (len(right) - len(left)) for left, right in productions)
    if length > LENGTH_LIMIT:
        raise InputError(f"the rule would make {length:,} symbols of {text[:40]!r}...; {_LESS}")


def endless(text: str, limit: int) -> InputError:
    """The error for a run on `text` that is not over after `limit` steps."""
    return InputError(f"the rule did not stop on {text[:40]!r} within {limit:,} steps; {HALTING_ADVICE}")

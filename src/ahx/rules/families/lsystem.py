"""L-systems: all symbols are rewritten at once, for n generations. The input is the axiom.

Source: Lindenmayer, "Mathematical models for cellular interactions in development", J. Theoretical Biology 1968
(the deterministic, context-free kind, D0L).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ahx.rules.families.substitution import Productions, SubstitutionTransducer
from ahx.rules.language import Source, default_alphabet, written_rule, written_spec
from ahx.rules.rule import Rule, check_growth, limited
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, Transducer, repeated


@dataclass(frozen=True)
class LSystem(Rule):
    """Rewrites every symbol, `generations` times; symbols without a rule stay."""

    family = "lsystem"

    productions: Productions
    alphabet: str
    generations: int = 1

    @classmethod
    def read(cls, source: Source) -> "LSystem":
        source.no_words("F -> F+G")
        source.check_options("alphabet", "steps")
        productions = tuple(source.productions(left_length=1))
        if not productions:
            source.fail(len(source.text), "expected a rule for at least one symbol, as in F -> F+G")
        alphabet = source.alphabet(default_alphabet(*map("".join, productions)))
        return cls(productions, alphabet, source.steps(1) or 1)

    @property
    def spec(self) -> str:
        usual = default_alphabet(*map("".join, self.productions))
        return written_spec(
            "lsystem",
            [written_rule(left, right) for left, right in self.productions],
            n=None if self.generations == 1 else self.generations,
            alphabet=None if self.alphabet == usual else self.alphabet,
        )

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        return limited(self._generations(text), limit)

    def _generations(self, text: str) -> Iterator[str]:
        yield text
        table = str.maketrans(dict(self.productions))
        for _ in range(self.generations):
            check_growth(text, self.productions)
            text = text.translate(table)
            yield text

    @cached_property
    def _transducer(self) -> Transducer | None:
        # One symbol on each left side: then rewriting all at once and rewriting from left to right are the same.
        return repeated(SubstitutionTransducer(self.productions), self.generations)

    def snippets(self) -> tuple[str, ...]:
        return tuple(left for left, _ in self.productions)

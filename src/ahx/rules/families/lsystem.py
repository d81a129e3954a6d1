"""L-systems: all symbols are rewritten at once, for n generations. The input is the axiom.

With one symbol on each left side, rewriting all at once and rewriting from left to right are the same.
Source: Lindenmayer, "Mathematical models for cellular interactions in development", J. Theoretical Biology 1968
(the deterministic, context-free kind, D0L).
"""

from dataclasses import dataclass

from ahx.rules.families.substitution import Substitution
from ahx.rules.language import Source, default_alphabet, written_rule, written_spec


@dataclass(frozen=True)
class LSystem(Substitution):
    """Rewrites every symbol, `passes` times; symbols without a rule stay."""

    family = "lsystem"

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
            n=None if self.passes == 1 else self.passes,
            alphabet=None if self.alphabet == usual else self.alphabet,
        )

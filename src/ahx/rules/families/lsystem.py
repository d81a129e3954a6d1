"""L-systems: all symbols are rewritten at once, for n generations. The input is the axiom.

With one symbol on each left side, rewriting all at once and rewriting from left to right are the same.
Source: Lindenmayer, "Mathematical models for cellular interactions in development", J. Theoretical Biology 1968
(the deterministic, context-free kind, D0L).
"""

from dataclasses import dataclass

from ahx.rules.families.substitution import Substitution


@dataclass(frozen=True)
class LSystem(Substitution):
    """Rewrites every symbol, `passes` times; symbols without a rule stay."""

    family = "lsystem"
    example = "F -> F+G"
    left_length = 1

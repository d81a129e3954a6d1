"""Rewriting systems: every rule is a function from strings to strings that shows its work.

    parse_rule("A -> AA").apply("ABA")      'AABAA'

`parse_rule` reads the rule language (docs/rules.md), `families` has a file for each kind of rule, and `transducer`
defines the steps that a model learns.
"""

from ahx.rules.parse import parse_rule, rule_of_a_model
from ahx.rules.preset import Preset
from ahx.rules.presets import presets
from ahx.rules.rule import Rule

__all__ = ["Preset", "Rule", "parse_rule", "presets", "rule_of_a_model"]

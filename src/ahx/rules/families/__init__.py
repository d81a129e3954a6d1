"""The families of the rule language. A new family is a file here, and a line in FAMILIES."""

from collections.abc import Callable

from ahx.rules.families.cellular import CellularAutomaton
from ahx.rules.families.lsystem import LSystem
from ahx.rules.families.markov import Markov
from ahx.rules.families.substitution import Substitution
from ahx.rules.families.tag import Lag, Tag
from ahx.rules.families.transducer_rule import TransducerRule
from ahx.rules.families.turing import TuringMachine
from ahx.rules.language import Source
from ahx.rules.rule import Rule

#: how to read the text behind `family:`
FAMILIES: dict[str, Callable[[Source], Rule]] = {
    "substitution": Substitution.read,
    "lsystem": LSystem.read,
    "markov": Markov.read,
    "tag": Tag.read,
    "lag": Lag.read,
    "ca": CellularAutomaton.read,
    "turing": TuringMachine.read,
    "transducer": TransducerRule.read,
}

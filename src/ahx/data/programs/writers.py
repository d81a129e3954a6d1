"""The writer of each kind of interpreter. A new interpreter is one line here."""

from typing import Any

from ahx.data.programs.markov_writer import MarkovWriter
from ahx.data.programs.program_writer import ProgramWriter
from ahx.data.programs.substitution_writer import SubstitutionWriter
from ahx.data.programs.turing_writer import TuringWriter
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.interpreter import Interpreter

_WRITERS: dict[str, type[ProgramWriter[Any]]] = {
    "turing": TuringWriter,
    "substitution": SubstitutionWriter,
    "markov": MarkovWriter,
}


def vocabulary(rule: Interpreter) -> Tokenizer:
    """The tokens of all programs and configurations of `rule`."""
    return _WRITERS[rule.kind].vocabulary(rule)


def writer_of(rule: Interpreter, tokenizer: Tokenizer) -> ProgramWriter[Any]:
    """Writes programs of `rule` in the tokens of `tokenizer`."""
    return _WRITERS[rule.kind](rule, tokenizer)

"""Interpreters: rules that read another rule in their input.

A new one is a file here and a line in INTERPRETERS; in `ahx.data.programs`, a writer of its programs.
"""

from ahx.rules.interpreters.interpreter import Interpreter
from ahx.rules.interpreters.markov_interpreter import MarkovInterpreter
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter
from ahx.rules.language import Source

INTERPRETERS: dict[str, type[Interpreter]] = {
    interpreter.kind: interpreter for interpreter in (TuringInterpreter, SubstitutionInterpreter, MarkovInterpreter)
}


def read_interpreter(source: Source) -> Interpreter:
    """The interpreter that `interpreter: KIND` names. Raises InputError."""
    source.no_entries("interpreter:")
    kinds = [word.text for word in source.words]
    if len(kinds) != 1 or kinds[0] not in INTERPRETERS:
        odd = [word.at for i, word in enumerate(source.words) if i or word.text not in INTERPRETERS]
        known = "expected interpreter: and what it reads, one of " + ", ".join(INTERPRETERS)
        source.fail(min(odd, default=len(source.text)), known)
    return INTERPRETERS[kinds[0]].read(source)

"""Run an interpreter: a model that follows the rules in its prompt, token by token.

The model (of `ahx train --rule turing-interpreter`, substitution-interpreter or markov-interpreter) gets the rules and
a tape or a string in its prompt, and writes one configuration after the other. Without RUN it is an interpreter of
Turing machines that is part of the package; `ahx verify` proves it. Each configuration is compared with the rules'; the
run ends at the first difference, with exit code 1.
"""

import argparse
import shutil
import time
from itertools import islice
from typing import TYPE_CHECKING

from ahx.errors import InputError
from ahx.text.plural import counted
from entrypoints.shared.arguments import add_trust

if TYPE_CHECKING:
    from ahx.rules.interpreters.interpreter import Interpreter

EXAMPLES = [
    "ahx interpret --machine 1RB1LB_1LA0LC_1RZ1LD_1RD0RA",
    "ahx interpret runs/ti --machine 1RB1LC_1RC1RB_1RD0LE_1LA1LD_1RZ0LA --tape 0110 --steps 30 --picture bb5.svg",
    "ahx interpret runs/ti --program 'B0:1LA,A0:1RB,B1:1RZ,A1:1LB,' --tape 1B1",
    "ahx interpret runs/mi --program 'BA->AB,CA->AC,CB->BC,' --tape CABBAC",
]

_SHOWN = 100  # configurations printed by default
_WIDTH = 120


def configure(parser: argparse.ArgumentParser) -> None:
    """The run, the machine, where it starts, how far it goes."""
    parser.usage = "%(prog)s [RUN] (--machine TABLE | --program RULES) [options]"
    add = parser.add_argument
    about = "Folder of a run of `ahx train` with an interpreter. Default: the one that is part of the package."
    add("run", metavar="RUN", nargs="?", help=about)
    add_trust(add)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--machine", metavar="TABLE", help="A Turing machine in the standard format: 1RB1LB_1LA1RZ.")
    which.add_argument(
        "--program",
        metavar="RULES",
        help="Rules, such as A0:1RB,B0:1LA, for a Turing machine or AB->C,C->.BA, for strings.",
    )
    add("--tape", default="", metavar="TEXT", help="A tape, a configuration or a string, such as 0110 or 01B10.")
    add("--steps", type=int, default=1000, metavar="N", help="Stop after N steps.")
    add("--require-exact", action="store_true", help=argparse.SUPPRESS)  # always so
    add("--show", type=int, default=_SHOWN, metavar="N", help="Print the first N configurations.")
    add("--last", type=int, default=0, metavar="N", help="Also print the last N, aligned by tape position.")
    add("--picture", metavar="FILE", help="Draw the run with a row for each configuration, as FILE.svg or FILE.png.")


def run(args: argparse.Namespace) -> int:
    """Run and print. Returns the exit code: 1 if the model differs from the rules."""
    for name in ("steps", "show", "last"):
        if getattr(args, name) < 0:
            raise InputError(f"--{name}: must be 0 or more (got {getattr(args, name)})")

    from ahx.evaluation.interpreting import Runaway, interpret, interpreter_of
    from ahx.evaluation.spacetime import Diagram, check_name
    from ahx.evaluation.trained import load_trained
    from ahx.rules.interpreters.turing_interpreter import TuringInterpreter
    from ahx.training.signals import StopRequest

    if args.picture:
        check_name(args.picture)
    trained = load_trained(args.run, "cpu", trusted=args.trust_rule)
    rule = interpreter_of(trained)
    program, configuration = _input(rule, args)
    diagram = Diagram(_symbols(rule), last=args.last)
    diagram.add(configuration)
    print(_short(configuration))
    began, steps, symbols = time.monotonic(), 0, 0
    said = f"reached {counted(args.steps, 'step')}"
    code = 0
    answers = interpret(trained, program, configuration)
    with StopRequest() as stop:
        try:
            for answer in islice(answers, args.steps):
                expected = rule.apply(f"{program}|{configuration}")
                symbols += len(answer)
                if answer != expected:
                    said = f"wrong at step {steps + 1:,}: expected {_short(expected)}, got {_short(answer)}"
                    code = 1
                    break
                if answer == configuration:
                    said = f"halted after {counted(steps, 'step')}: nothing changes {_short(answer)}"
                    break
                steps, configuration = steps + 1, answer
                diagram.add(answer)
                if steps <= args.show:
                    print(_short(answer))
                if stop.signal:
                    said, code = f"stopped after {counted(steps, 'step')}", 128 + stop.signal  # as shells count
                    break
        except Runaway as written:
            said = f"wrong at step {steps + 1:,}: the model does not end the configuration {_short(str(written))}"
            code = 1
    seconds = time.monotonic() - began
    if args.picture:
        diagram.save(args.picture, f"{program} run by a transformer that had never seen it")
    for line in diagram.text(shutil.get_terminal_size((_WIDTH, 24)).columns) if args.last else ():
        print(line)
    ones = f"; {counted(configuration.count('1'), 'one')} on the tape" if isinstance(rule, TuringInterpreter) else ""
    print(f"{said}{ones}; {counted(symbols, 'symbol')} in {seconds:.1f} s, all of them the model's own")
    return code


def _input(rule: "Interpreter", args: argparse.Namespace) -> tuple[str, str]:
    """The rules and the first configuration. Raises InputError for a prompt that the model cannot read."""
    from ahx.rules.interpreters.turing_interpreter import BLANK, TuringInterpreter, program_of, read_machine

    if not isinstance(rule, TuringInterpreter):
        if args.machine is not None:
            raise InputError(f"--machine: this model follows rules of strings ({rule.spec}); give them with --program")
        rule.prompt(f"{args.program}|{args.tape}")
        return args.program, args.tape
    program = args.program if args.machine is None else program_of(read_machine(args.machine))
    configuration = args.tape if any(c.isalpha() for c in args.tape) else "A" + (args.tape or "0")
    rule.parse(f"{program}|{configuration}")
    if len(configuration) == 2:
        configuration = BLANK + configuration  # training begins at tapes of two cells; the tape is the same
    return program, configuration


def _symbols(rule: "Interpreter") -> str:
    """The symbols that a cell of a picture can hold."""
    from ahx.rules.interpreters.string_interpreter import StringInterpreter
    from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

    assert isinstance(rule, TuringInterpreter | StringInterpreter)
    return rule.symbols if isinstance(rule, TuringInterpreter) else rule.letters


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH // 2]}...{text[-_WIDTH // 2 :]} ({len(text):,} symbols)"

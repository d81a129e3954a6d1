"""Run a machine that a model has learnt, token by token, without a limit on length.

The model (of `ahx train --certify`) reads the front of a queue and writes at its end. A Turing machine starts from a
tape such as 0110 or a configuration such as 01B1; the default is a blank tape.
"""

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING

from ahx.errors import InputError
from ahx.text.plural import counted
from entrypoints.shared.arguments import add_trust

if TYPE_CHECKING:
    from ahx.evaluation.execution import Execution
    from ahx.evaluation.recording import Recorder
    from ahx.evaluation.trained import Trained
    from ahx.rules.queue_machine import QueueMachine

EXAMPLES = [
    "ahx exec runs/bb4",
    "ahx exec runs/bb4 --no-cache --check --show 20",
    "ahx exec runs/bb4 --tape 0110 --steps 1000 --picture bb4.svg",
]

_PIECE = 100_000  # tokens


def configure(parser: argparse.ArgumentParser) -> None:
    """The run, where to start, how far to go, what to show."""
    add = parser.add_argument
    add("run", metavar="RUN", help="Folder of a run of `ahx train --certify`.")
    add_trust(add)
    add("--tape", default="", metavar="TEXT", help="Input: a tape, a configuration or a word (default: a blank tape).")
    add("--steps", type=int, metavar="N", help="Stop after N steps of the machine (default: when it halts).")
    add("--tokens", type=int, metavar="N", help="Stop after N tokens, at the end of a step (default: no limit).")
    add("--no-cache", action="store_true", help="Run the model for every token; reuse no answers.")
    add("--check", action="store_true", help="Compare every configuration with the rule's; stop at a difference.")
    add("--picture", metavar="FILE", help="Draw the run with a row for each configuration, as FILE.svg or FILE.png.")
    add("--show", type=int, default=0, metavar="N", help="Print the last N configurations.")
    add("--device", default="cpu", help="Device: auto, cpu, mps, cuda or cuda:N.")


def run(args: argparse.Namespace) -> int:
    """Run and print. Returns the exit code: 1 if --check found a difference."""
    for name in ("steps", "tokens", "show"):
        value = getattr(args, name)
        if value is not None and value < 0:
            raise InputError(f"--{name}: must be 0 or more (got {value})")
    from ahx.evaluation.execution import Execution
    from ahx.evaluation.recording import Recorder
    from ahx.evaluation.spacetime import check_name
    from ahx.evaluation.trained import load_trained
    from ahx.evaluation.verification import is_certified, machine_learnt
    from ahx.training.signals import StopRequest

    if args.picture:
        check_name(args.picture)
    trained = load_trained(args.run, args.device, trusted=args.trust_rule)
    machine = machine_learnt(trained)
    if not args.check and not is_certified(trained):
        print(f"ahx: note: {trained.folder} is not certified; --check compares it with the rule", file=sys.stderr)
    recorder = Recorder(
        trained, machine, args.tape, draw=bool(args.picture or args.show), check=args.check, last=args.show
    )
    execution = Execution(trained.model, trained.tokenizer, machine, args.tape, cached=not args.no_cache)
    if recorder.needed:
        execution.on_step = recorder
    began = printed = time.monotonic()
    # Signals are checked between pieces: within a token, the queue and its recorder differ.
    with StopRequest() as stop:
        while not (
            execution.halted or recorder.difference or stop.signal or _reached(args, execution.steps, execution.tokens)
        ):
            # Piece by piece, to show progress.
            pieces = (execution.tokens + _PIECE, args.tokens)
            execution.run(args.steps, min(piece for piece in pieces if piece is not None))
            if time.monotonic() - printed > 1:
                printed = time.monotonic()
                print(_progress(execution.steps, execution.tokens, printed - began), file=sys.stderr, flush=True)
        if not execution.between_steps:
            execution.run(steps=execution.steps + 1)  # to the end of the step
    if execution.halted:
        recorder.halted()
    seconds = time.monotonic() - began
    if args.picture:
        recorder.diagram.save(args.picture, f"{trained.rule.spec if trained.rule else ''}, run by a transformer")
    for line in recorder.diagram.text(shutil.get_terminal_size((100, 24)).columns) if args.show else ():
        print(line)
    code = _conclude(trained, machine, execution, recorder, seconds)
    return 128 + stop.signal if stop.signal else code  # as shells count


def _reached(args: argparse.Namespace, steps: int, tokens: int) -> bool:
    return (args.steps is not None and steps >= args.steps) or (args.tokens is not None and tokens >= args.tokens)


def _progress(steps: int, tokens: int, seconds: float) -> str:
    done = f"{counted(steps, 'step')}, {counted(tokens, 'token')}"
    return f"{done}, {steps / seconds:,.0f} steps/s, {tokens / seconds:,.0f} tokens/s"


def _conclude(
    trained: "Trained", machine: "QueueMachine", execution: "Execution", recorder: "Recorder", seconds: float
) -> int:
    """Say how the run ended. Returns the exit code."""
    if recorder.difference:
        print(recorder.difference)
        return 1
    output = machine.unload(execution.queue())
    print(output if len(output) <= 200 else f"{output[:99]}...{output[-98:]}")
    ended = "halted" if execution.halted else "stopped"
    summary = trained.rule.summary(output) if trained.rule else ""
    print(
        f"{ended} after {_progress(execution.steps, execution.tokens, max(seconds, 1e-9))}; "
        f"the model answered {counted(execution.asked, 'question')}" + (f"; {summary}" if summary else "")
    )
    if recorder.compared:
        print(f"all {recorder.compared:,} configurations are those of the rule")
    return 0

"""Generate training and validation data for a rule.

Writes OUT_train.txt and OUT_val.txt with one `input,output` per line. No validation input is in the training file. The
same options give the same bytes. Lines are distinct if there are enough strings; otherwise training lines repeat.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ahx.errors import InputError
from ahx.text.plural import counted
from infra import locations

EXAMPLES = [
    "ahx gen-data --rule double_a data/da",
    "ahx gen-data --rule 'A -> AA, B -> ' --num-samples 20000 --max-len 12 --alphabet ABC data/mine",
    "ahx gen-data --rule reverse --alphabet 01 --min-len 3 --seed 7 --val-fraction 0.2 data/reverse",
]

_WORTH_A_BAR = 200_000  # lines; fewer take too short a time for a bar


def configure(parser: argparse.ArgumentParser) -> None:
    """The rule, how many samples of what length, and where they go."""
    add = parser.add_argument
    add("--rule", "--problem", required=True, metavar="RULE", help="A preset, such as double_a, or a rule: 'A -> AA'.")
    add("--num-samples", type=int, default=100_000, metavar="N", help="Lines in both files together.")
    add("--max-len", type=int, default=10, metavar="N", help="Length of the longest input, in symbols.")
    add("--min-len", type=int, default=1, metavar="N", help="Length of the shortest input, in symbols.")
    add("--alphabet", metavar="SYMBOLS", help="Symbols of the inputs, such as AB (default: the rule's).")
    add("--seed", type=int, default=0, metavar="N", help="Seed of the random samples.")
    add("--val-fraction", type=float, default=0.1, metavar="SHARE", help="Share of lines for validation.")
    add("outfile", metavar="OUT", help="First part of the files' names: OUT_train.txt and OUT_val.txt.")


def run(args: argparse.Namespace) -> int:
    """Write both files and print a summary. Returns the exit code."""
    from ahx.data.files.names import TRAIN_SUFFIX, VAL_SUFFIX
    from ahx.data.generate import generate
    from ahx.data.samples.sampler import Sampler
    from ahx.rules import parse_rule
    from ahx.rules.interpreters.interpreter import Interpreter

    if not args.outfile or args.outfile.endswith("/"):
        raise InputError(f"OUT: {args.outfile!r} names no file; add how the names begin, such as data/da")
    rule = parse_rule(args.rule)
    if isinstance(rule, Interpreter):
        raise InputError(f"--rule: {args.rule} reads programs, which data files cannot hold; `ahx train` draws its own")
    alphabet = rule.alphabet if args.alphabet is None else args.alphabet
    sampler = Sampler(alphabet, args.min_len, args.max_len, rule.snippets())
    with locations.written(args.outfile) as out, _progress(args.num_samples) as on_progress:
        made = generate(
            rule,
            sampler,
            out,
            args.num_samples,
            seed=args.seed,
            val_fraction=args.val_fraction,
            on_progress=on_progress,
        )
    if made.note:
        print(f"Note: {made.note}.")
    train, val = args.outfile + TRAIN_SUFFIX, args.outfile + VAL_SUFFIX
    print(f"Wrote {train} ({counted(made.train_lines, 'line')}) and {val} ({counted(made.val_lines, 'line')}).")
    return 0


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of lines just written. It draws a bar for many lines on a terminal."""
    if total < _WORTH_A_BAR or not sys.stderr.isatty():
        yield lambda lines: None
        return
    from rich.progress import Progress

    from ahx.text.printing import console, guard

    with Progress(console=console(stderr=True), transient=True) as bar:
        guard()
        task = bar.add_task("writing lines", total=total)
        yield lambda lines: bar.advance(task, lines)

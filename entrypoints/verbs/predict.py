"""Answer the inputs of a file with a trained model, one line of output for each, in their order.

Inputs are read and answered a part at a time, so a file may have any size. An input that the model cannot answer (an
unknown symbol, too long, no end) gets an empty line and a sentence on standard error; the exit code is then 1. The last
line on standard error counts what happened.
"""

import argparse
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ahx.data.files.format import FORMATS
from ahx.errors import InputError
from ahx.text.printing import data
from entrypoints.shared.arguments import add_trust
from infra import locations

EXAMPLES = [
    "ahx predict runs/demo --data inputs.txt",
    "ahx predict runs/demo --data data/da_val.txt --format auto",
    "ahx predict runs/demo --data inputs.txt --json --n-best 5 --beam 8",
    "cat inputs.txt | ahx predict runs/demo --data - --min-probability 0.9",
]


_BLOCK_BYTES = 1 << 20
_WIDEST_BEAM = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """The model, the inputs, and what is printed."""
    parser.usage = "%(prog)s RUN --data FILE [options]"
    add = parser.add_argument
    add("model", metavar="RUN", nargs="?", help="Folder of a run or of a checkpoint; may be in S3.")
    add("--data", metavar="FILE", help="File with an input on each line, local or in S3; - is standard input.")
    add(
        "--format", choices=FORMATS,
        help="FILE is a data file, of inputs and outputs, in this format: answer its inputs (see docs/data.md)."
    )  # fmt: skip
    add(
        "--columns", metavar="A,B", help="Its columns of input and output, by name or number (default: as in training)."
    )
    add("--n-best", type=int, default=1, metavar="N", help="Answers for each input, separated by tabs.")
    add(
        "--beam", type=int, metavar="N",
        help="Hypotheses of the beam search; 1 is greedy (default: 1; with --n-best, 8 or as many as that)."
    )  # fmt: skip
    add(
        "--min-probability", type=float, default=0.0, metavar="P",
        help="Give no answer where the best one is less probable than P."
    )  # fmt: skip
    add("--json", action="store_true", help="Print a JSON object for each input, with probabilities.")
    add("--max-new-tokens", type=int, metavar="N", help="Longest answer, in tokens (default: grows with the input).")
    add("--device", default="auto", help="Device: auto, cpu, mps, cuda or cuda:N.")
    add_trust(add)


def run(args: argparse.Namespace) -> int:
    """Answer all inputs. Returns the exit code: 1 if there were inputs without an answer."""
    if not args.model:
        raise InputError("which model? Name a run's folder: ahx predict runs/double_a --data inputs.txt")
    if not args.data:
        raise InputError("--data: name a file with an input on each line, or - for standard input")
    if not 0 <= args.min_probability <= 1:  # refuses nan as well
        raise InputError(f"--min-probability: must be from 0 to 1 (got {args.min_probability:g})")
    if not 1 <= args.n_best <= _WIDEST_BEAM:
        raise InputError(f"--n-best: must be from 1 to {_WIDEST_BEAM} (got {args.n_best})")
    if args.beam is not None and not args.n_best <= args.beam <= _WIDEST_BEAM:
        raise InputError(f"--beam: must be from --n-best, {args.n_best}, to {_WIDEST_BEAM} (got {args.beam})")
    if args.data == "-" and (args.format or args.columns):
        raise InputError("--format and --columns are for a file; standard input has an input on each line")
    if args.max_new_tokens is not None and args.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens: must be at least 1 (got {args.max_new_tokens})")

    from ahx.data.files.open import open_data
    from ahx.evaluation.predicting import Predictions, predict
    from ahx.evaluation.rewriter import Rewriter, usual_beam
    from ahx.evaluation.samples import data_files, lines_of
    from ahx.evaluation.trained import load_trained

    trained = load_trained(locations.model(args.model), args.device, trusted=args.trust_rule).for_rewriting()
    rewriter = Rewriter(
        trained, max_new_tokens=args.max_new_tokens, beam=args.beam or usual_beam(args.n_best), n_best=args.n_best
    )
    counts = Predictions()

    def complain(sentence: str) -> None:
        print(f"ahx: {sentence}", file=sys.stderr, flush=True)

    def answer(texts: Iterable[str]) -> None:
        unit = "input" if args.format or args.columns else "line"  # a data file may have a header and comments
        how = {"min_probability": args.min_probability, "as_json": args.json, "unit": unit}
        for answers in predict(rewriter, texts, counts, **how, complain=complain):
            data("\n".join(answers), flush=True)

    if args.format or args.columns:
        paths = data_files(locations.data(args.data))
        answer(text for text, _ in lines_of(trained, paths, format=args.format, columns=args.columns))
    elif args.data == "-":
        lines = sys.stdin.buffer if isinstance(sys.stdin, io.TextIOWrapper) else (s.encode() for s in sys.stdin)
        answer(_texts(lines))
    else:
        with open_data(Path(locations.data(args.data))) as file:
            answer(_texts(_lines(file)))
    complain(str(counts))
    return int(counts.failed > 0)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    """The lines without their ends. Bytes that are not UTF-8 become symbols that no model knows."""
    for number, line in enumerate(lines):
        if number == 0:
            line = line.removeprefix(b"\xef\xbb\xbf")
        yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")

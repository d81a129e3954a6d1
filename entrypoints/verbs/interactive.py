"""Type strings and see how a trained model rewrites them.

On a terminal, answers are marked right or wrong if the model's rule is known; `:n 5` lists the five most probable ones
from then on, `:help` the commands. For piped input only the answers are printed, one per line, and the exit code is 1
if a line could not be answered.
"""

import argparse
import io
import sys

from ahx.errors import InputError
from entrypoints.shared.arguments import add_trust
from infra import locations

EXAMPLES = [
    "ahx interactive --model runs/demo",
    "echo ABA | ahx interactive --model runs/demo",
    "ahx interactive --model runs/demo --temperature 0.7",
]


def configure(parser: argparse.ArgumentParser) -> None:
    """The model, and how it writes."""
    parser.usage = "%(prog)s --model RUN [options]"
    add = parser.add_argument
    add("--model", metavar="RUN", help="Folder of a run (--model-out of `ahx train`) or of a checkpoint; may be in S3.")
    add("--model_file", dest="model", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add_trust(add)
    add("--temperature", type=float, default=0.0, metavar="T", help="Sampling temperature; 0 is greedy.")
    add("--max-new-tokens", type=int, metavar="N", help="Longest answer, in tokens (default: grows with the input).")
    add("--seed", type=int, metavar="N", help="Seed for --temperature (default: random).")
    add("--device", default="auto", help="Device: auto, cpu, mps, cuda or cuda:N.")


def run(args: argparse.Namespace) -> int:
    """Answer until the input ends. Returns the exit code."""
    if not args.model:
        raise InputError("which model? Name a run's folder: --model runs/double_a")
    if not 0 <= args.temperature <= 1000:  # refuses nan as well
        raise InputError(f"--temperature: must be from 0 to 1000 (got {args.temperature:g})")
    if args.max_new_tokens is not None and args.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens: must be at least 1 (got {args.max_new_tokens})")
    if args.seed is not None and not 0 <= args.seed < 2**63:
        raise InputError(f"--seed: must be from 0 to 2^63 - 1 (got {args.seed})")

    from ahx.evaluation.conversation import answer_lines, converse
    from ahx.evaluation.rewriter import Rewriter
    from ahx.evaluation.trained import load_trained

    trained = load_trained(locations.model(args.model), args.device, trusted=args.trust_rule).for_rewriting()
    rewriter = Rewriter(trained, args.temperature, args.max_new_tokens, args.seed)
    if sys.stdin.isatty():
        return converse(rewriter)
    if isinstance(sys.stdin, io.TextIOWrapper):  # bytes that are not UTF-8 become symbols that no model knows
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    return answer_lines(rewriter, sys.stdin)

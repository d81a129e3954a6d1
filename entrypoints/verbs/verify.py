"""Check the certificate of a machine, or of an interpreter of all machines, from the weights alone.

Asks the model every question again and compares the result with the run's certificate.json: the hash of the weights,
the number of questions, and the least margin (the smallest lead of a right token over the next best, in logits). The
exit code is 0 if all answers are right and the certificate agrees, else 1.
"""

import argparse

from entrypoints.shared.arguments import add_trust

EXAMPLES = ["ahx verify", "ahx verify runs/bb4"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    about = "Folder of a run of `ahx train --certify`. Default: the interpreter that is part of the package."
    parser.add_argument("run", metavar="RUN", nargs="?", help=about)
    parser.add_argument("--device", default="cpu", help="Device: auto, cpu, mps, cuda or cuda:N.")
    add_trust(parser.add_argument)


def runs_without_options() -> bool:
    """The interpreter of the package is checked."""
    return True


def run(args: argparse.Namespace) -> int:
    """Verify and print. Returns the exit code."""
    from ahx.evaluation.trained import load_trained
    from ahx.evaluation.verification import verify

    trained = load_trained(args.run, args.device, trusted=args.trust_rule)
    verdict = verify(trained)
    print(f"{trained.folder}: {verdict.check}")
    for complaint in verdict.complaints:
        print(f"  {complaint}")
    print("certified" if verdict.certified else "NOT certified")
    return int(not verdict.certified)

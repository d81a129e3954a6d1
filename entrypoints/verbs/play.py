"""Open a page on this machine on which one watches a model write, token by token.

The page shows the cursor, what each head attends to, and the likeliest next tokens; a machine or an interpreter draws
its space-time diagram. Without RUN the page trains a model. Only this machine can use it.
"""

import argparse
import webbrowser
from contextlib import suppress

from entrypoints.shared.arguments import add_trust
from infra import locations

EXAMPLES = ["ahx play", "ahx play runs/demo", "ahx play turing-interpreter --no-browser"]

_INTERPRETER = "turing-interpreter"


def configure(parser: argparse.ArgumentParser) -> None:
    """The model, and where to serve."""
    add = parser.add_argument
    about = f"Folder of a run, here or in S3; {_INTERPRETER} is the one that is part of the package (default: none)."
    add("run", metavar="RUN", nargs="?", help=about)
    add_trust(add)
    add("--port", type=int, default=8127, help="Port on 127.0.0.1; 0 takes a free one.")
    add("--no-browser", action="store_true", help="Only print the address.")


def runs_without_options() -> bool:
    """The page trains a model."""
    return True


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Returns the exit code."""
    from ahx.evaluation.trained import load_trained
    from ahx.play.server import Playground

    trained = None
    if args.run:
        folder = None if args.run == _INTERPRETER else locations.model(args.run)
        trained = load_trained(folder, "cpu", trusted=args.trust_rule)
    with Playground(trained, args.port) as server:
        print(f"{server.address}  (Ctrl-C stops)", flush=True)
        if not args.no_browser:
            webbrowser.open(server.address)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0

"""Train a transformer on a rewriting rule, or on a file of examples.

Every option is a field of `ahx.training.hyperparameters.Hyperparameters`; the options are made from it.
What is read and written may be in S3: it is fetched before training, and the run is uploaded when it has ended, or been
stopped by a signal.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoints.shared.arguments import add_hyperparameters
from infra import locations

if TYPE_CHECKING:
    from ahx.training.hyperparameters import Hyperparameters

EXAMPLES = [
    "ahx train --rule double_a",
    "ahx train --rule 'A -> AA, B -> ' --until_exact 10000 --max_seconds 60",
    "ahx train --rule bb4 --certify",
    "ahx train --rule reverse --alphabet ABCD --num_epochs 5 --model_out runs/reverse",
    "ahx train --rule reverse --alphabet ABCD --num_epochs 5 --model_out runs/reverse --resume",
]

LOGGED = True


def configure(parser: argparse.ArgumentParser) -> None:
    """One option for each hyperparameter, and the files that values may be read from."""
    parser.usage = "%(prog)s (--rule RULE | --infile INFILE) [options]"
    add_hyperparameters(parser)
    group = parser.add_argument_group("Values from elsewhere (the command line counts most)")
    group.add_argument("--config", metavar="FILE", help="A TOML file of hyperparameters, a line each: n_layer = 2.")
    group.add_argument(
        "--hyperparameters_json", metavar="FILE", help="A hyperparameters.json as SageMaker writes it; counts least."
    )


def runs_without_options() -> bool:
    """SageMaker's toolkit passes hyperparameters as SM_HP_* variables."""
    return any(variable.startswith("SM_HP_") for variable in os.environ)


def run(args: argparse.Namespace) -> int:
    """Collect the hyperparameters and train. Returns the exit code."""
    from ahx.training.lock import FolderLock
    from ahx.training.settings import from_sources

    typed = vars(args)
    config, sagemaker = typed.pop("config"), typed.pop("hyperparameters_json")
    hyperparameters = from_sources(typed, config, os.environ, sagemaker)

    local = _local(hyperparameters)
    if os.environ.get("RANK", "0") == "0":
        FolderLock(Path(local.model_out)).check()

    from ahx.training.run import train  # torch comes with it, so not before the input is known to be right

    code = train(local)
    if local.model_out != hyperparameters.model_out and os.environ.get("RANK", "0") == "0":
        print(locations.publish_run(local.model_out, hyperparameters.model_out, finished=code == 0), flush=True)
    return code


def _local(hp: "Hyperparameters") -> "Hyperparameters":
    """The same with paths on this machine for all that is in S3; data and models are fetched."""
    here = {
        "infile": locations.data(hp.infile) if hp.infile else None,
        "model_in": locations.model(hp.model_in) if hp.model_in else None,
        "model_out": locations.run_folder(hp.model_out, hp.resume),
    }
    changed = {name: path for name, path in here.items() if path != getattr(hp, name)}
    return hp.model_copy(update=changed) if changed else hp

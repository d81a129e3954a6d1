"""Train a transformer on a rewriting rule, or on a file of examples.

Every option is a field of `ahx.training.hyperparameters.Hyperparameters`. Data, models and the run's folder may be in
S3: inputs are fetched before training, and the run is uploaded when it ends or a signal stops it.
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
    "ahx train --rule 'A -> AA, B -> ' --until-exact 10000 --max-seconds 60",
    "ahx train --rule bb4 --certify",
    "ahx train --rule reverse --alphabet ABCD --num-epochs 5 --model-out runs/reverse",
    "ahx train --rule reverse --alphabet ABCD --num-epochs 5 --model-out runs/reverse --resume",
]

LOGGED = True


def configure(parser: argparse.ArgumentParser) -> None:
    """One option for each hyperparameter, and the files that values may be read from."""
    parser.usage = "%(prog)s (--rule RULE | --infile INFILE) [options]"
    add_hyperparameters(parser)
    group = parser.add_argument_group("Other sources of values (the command line counts most)")
    group.add_argument("--config", metavar="FILE", help="TOML file with lines such as n_layer = 2.")
    group.add_argument(
        "--hyperparameters-json", metavar="FILE", help="A hyperparameters.json as SageMaker writes it; counts least."
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

    from ahx.training.run import train  # imports torch, so only after the input was checked

    code = train(local)
    if local.model_out != hyperparameters.model_out and os.environ.get("RANK", "0") == "0":
        print(locations.publish_run(local.model_out, hyperparameters.model_out, finished=code == 0), flush=True)
    return code


def _local(hp: "Hyperparameters") -> "Hyperparameters":
    """`hp` with local paths instead of those in S3. Data and models are fetched."""
    here = {
        "infile": locations.data(hp.infile) if hp.infile else None,
        "model_in": locations.model(hp.model_in) if hp.model_in else None,
        "model_out": locations.run_folder(hp.model_out, hp.resume),
    }
    changed = {name: path for name, path in here.items() if path != getattr(hp, name)}
    return hp.model_copy(update=changed) if changed else hp

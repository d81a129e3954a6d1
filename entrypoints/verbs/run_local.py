"""Run a training job on this machine as SageMaker would, with `docker run` or as a process.

The folder --output is the job's /opt/ml: the model is written to OUTPUT/model, metrics to OUTPUT/output/data. The same
command again resumes from OUTPUT/checkpoints. Ctrl-C stops the job, which keeps a checkpoint and the model so far.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ahx.errors import InputError

if TYPE_CHECKING:
    from infra.run_local.runner import Runner

EXAMPLES = [
    "ahx run-local --process --hyperparameter rule=double_a --hyperparameter max_steps=20",
    "ahx run-local --process --data data/da --hyperparameter max_steps=20 --output runs/da-local",
]

LOGGED = True


def configure(parser: argparse.ArgumentParser) -> None:
    """The job's inputs, what runs it, and where its results go."""
    add = parser.add_argument
    add("--data", metavar="DATA", help="Channel train: a folder, a file, or data/da for da_train.txt and da_val.txt.")
    add("--channel", action="append", default=[], metavar="NAME=PATH", help="Another channel: validation or model.")
    add("--hyperparameter", action="append", default=[], metavar="NAME=VALUE", help="A hyperparameter of `ahx train`.")
    add("--environment", action="append", default=[], metavar="NAME=VALUE", help="An environment variable of the job.")
    add(
        "--output",
        type="local",
        metavar="FOLDER",
        help="Folder of files and results (default: runs/local/ and the rule's name).",
    )
    add("--process", action="store_true", help="Run the job as a process of this machine, without Docker.")
    add("--image", metavar="IMAGE", help="Image to run (default: ahx-transformer:dev).")
    add("--memory", metavar="SIZE", help="Memory limit of the container, such as 2g.")
    add("--network", metavar="NETWORK", help="Network of the container: none, host, or the name of a network.")


def run(args: argparse.Namespace) -> int:
    """Run the job and show what it prints. Returns its exit code."""
    from infra.run_local import foreground
    from infra.run_local.job_output import JobOutput
    from opt_ml import tree

    hyperparameters = _pairs(args.hyperparameter, "--hyperparameter", "n_layer=2")
    channels: dict[str, str | Sequence[Path]] = dict(_pairs(args.channel, "--channel", "validation=data/val"))
    if args.data is not None:
        if "train" in channels:
            raise InputError("--data and --channel train=... mean the same; keep one of the two")
        channels["train"] = _data(args.data)
    if not channels and not {"rule", "problem"} & set(hyperparameters):
        raise InputError("nothing to learn yet; give --data, or a rule: --hyperparameter rule=double_a")
    runner = _runner(args)
    folder = args.output or f"runs/local/{_name(hyperparameters, args.data)}"
    job = runner.start(
        tree.build(folder, hyperparameters, channels), _pairs(args.environment, "--environment", "OMP_NUM_THREADS=1")
    )
    with JobOutput() as show:
        code = foreground.watch(job, show=show)
    if code == 0:
        print(f"The model is in {folder}/model; try: ahx interactive --model {folder}/model")
    return code


def _runner(args: argparse.Namespace) -> "Runner":
    from infra.run_local.docker import find_image
    from infra.run_local.runner import IMAGE, ContainerRunner, ProcessRunner

    if args.process:
        for option in ("image", "memory", "network"):
            if getattr(args, option) is not None:
                raise InputError(f"--{option} is for containers; leave it out, or --process")
        return ProcessRunner()
    image = args.image or IMAGE
    find_image(image)
    return ContainerRunner(image, network=args.network, memory=args.memory)


def _pairs(words: Sequence[str], option: str, example: str) -> dict[str, str]:
    """NAME=VALUE options. Raises InputError for one without a name, or a name that is given twice."""
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise InputError(f"{option}: {word!r} must be a name and a value, such as {example}")
        if name in pairs:
            raise InputError(f"{option}: {name} is given twice, as {pairs[name]!r} and {value!r}; keep one")
        pairs[name] = value
    return pairs


def _data(given: str) -> str | Sequence[Path]:
    """A folder as it is; otherwise the data files, those for validation too."""
    from ahx.data.files.names import resolve_infile

    return given if Path(given).is_dir() else [path for paths in resolve_infile(given)[:2] for path in paths]


def _name(hyperparameters: Mapping[str, str], data: str | None) -> str:
    """A folder's name for the job, as `ahx train` would choose it."""
    from ahx.training.hyperparameters import Hyperparameters

    rule = hyperparameters.get("rule") or hyperparameters.get("problem")
    return Path(Hyperparameters(rule=rule, infile=data).model_out).name

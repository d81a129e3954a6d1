"""Train a transformer on a rewriting rule, or on a file of examples.

Every option is a field of `ahx.training.hyperparameters.Hyperparameters`; the options are made from it.
"""

import argparse
import os

EXAMPLES = [
    "ahx train --rule double_a",
    "ahx train --rule 'A -> AA, B -> ' --until_exact 10000 --max_seconds 60",
    "ahx train --rule reverse --alphabet ABCD --num_epochs 5 --model_out runs/reverse",
    "ahx train --rule reverse --alphabet ABCD --num_epochs 5 --model_out runs/reverse --resume",
]


def configure(parser: argparse.ArgumentParser) -> None:
    """One option for each hyperparameter, and the files that values may be read from."""
    from ahx.training.hyperparameters import SECTIONS, Hyperparameters
    from ahx.training.wording import default_text, metavar

    parser.usage = "%(prog)s (--rule RULE | --infile INFILE) [options]"
    group: argparse._ArgumentGroup
    for name, field in Hyperparameters.model_fields.items():
        if name in SECTIONS:
            group = parser.add_argument_group(SECTIONS[name])
        text = f"{' '.join((field.description or '').split())}{default_text(field)}".replace("%", "%%")
        # Values stay text until all places that may give one are known (settings.py). What is not typed is absent.
        is_flag = field.annotation is bool
        for spelling in (name, field.validation_alias):
            if isinstance(spelling, str):
                group.add_argument(
                    f"--{spelling}",
                    nargs="?" if is_flag else None,
                    const="true" if is_flag else None,
                    default=argparse.SUPPRESS,
                    metavar=metavar(field),
                    help=text if spelling == name else argparse.SUPPRESS,
                )
        if is_flag:
            no = group.add_argument(f"--no-{name}", dest=name, action="store_const", const="false")
            no.default = no.help = argparse.SUPPRESS
    group = parser.add_argument_group("Values from elsewhere (the command line counts most)")
    group.add_argument("--config", metavar="FILE", help="A TOML file of hyperparameters, a line each: n_layer = 2.")
    group.add_argument(
        "--hyperparameters_json", metavar="FILE", help="A hyperparameters.json as SageMaker writes it; counts least."
    )


def run(args: argparse.Namespace) -> int:
    """Collect the hyperparameters and train. Returns the exit code."""
    from ahx.training.settings import from_sources

    typed = vars(args)
    config, sagemaker = typed.pop("config"), typed.pop("hyperparameters_json")
    hyperparameters = from_sources(typed, config, os.environ, sagemaker)

    from ahx.training.run import train  # torch comes with it, so not before the input is known to be right

    return train(hyperparameters)

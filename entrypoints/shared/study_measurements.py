"""What `ahx study` measures on models: parameters, and exact match at other lengths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ahx.errors import InputError
from ahx.study.trial import SIZE, Config


def parameters(configs: Sequence[Config]) -> dict[tuple[Any, ...], tuple[int, str]]:
    """The number of parameters of each size, and the position scheme that it has; by `pos` and size."""
    import torch

    from ahx.training.data import prepare
    from ahx.training.hyperparameters import Hyperparameters
    from ahx.training.run_paths import RunPaths
    from ahx.training.start import first_model

    found: dict[tuple[Any, ...], tuple[int, str]] = {}
    data: dict[str, Any] = {}
    for config in configs:
        name = size_name(config)
        if name not in found:
            hp = Hyperparameters.from_json({**config, "seed": 0})
            pos = config["pos"]
            data[pos] = data.get(pos) or prepare(hp, RunPaths.of(hp))
            with torch.device("meta"):
                model = first_model(hp, data[pos], None)
            found[name] = sum(p.numel() for p in model.parameters()), data[pos].pos
    return found


def size_name(config: Config) -> tuple[Any, ...]:
    """What the number of parameters depends on."""
    return (config["pos"], *(config[name] for name in SIZE))


def exact_by_length(model: Path, rule: str, n_first: int, multiples: Sequence[int]) -> dict[str, float]:
    """The share of fresh samples that are exact, at these multiples of the training length. Raises AhxError."""
    from ahx.evaluation.evaluate import evaluate
    from ahx.evaluation.samples import SAMPLES_BY_MULTIPLE, alphabet_of, draw, lengths_to_try
    from ahx.evaluation.trained import load_trained

    trained = load_trained(model, trusted=rule).for_rewriting()
    if trained.rule is None:
        raise InputError(f"{model} has no rule to draw samples from")
    alphabet = alphabet_of(trained, trained.rule)
    shares = {}
    every = lengths_to_try("", trained.training_lengths(), None)
    for (multiple, _), series in zip(SAMPLES_BY_MULTIPLE, every, strict=True):
        if multiple in multiples:
            series = series._replace(n=n_first) if multiple == 1 else series
            shares[str(multiple)] = evaluate(trained, draw(trained.rule, alphabet, series, 1)).total.share
    return shares

"""What a job writes besides the model of training."""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator

from ahx.data.files.names import shown
from ahx.errors import AhxError
from ahx.evaluation.evaluate import evaluate
from ahx.evaluation.judging import Pair
from ahx.evaluation.render import as_json, by_length
from ahx.evaluation.samples import Series, draw, lines_of
from ahx.evaluation.trained import load_trained
from ahx.model import checkpoint
from ahx.rules import parse_rule
from ahx.safe_files.atomic import atomic_files
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run_paths import RunPaths
from ahx.training.signals import StopRequest

_MOST_SAMPLES, _MOST_SYMBOLS = 10_000, 1_000_000


def write_evaluation(hp: Hyperparameters, paths: RunPaths, stop: StopRequest) -> None:
    """Write evaluation.json beside the metrics: the output of `ahx eval --json` at training lengths.

    On the validation file where there is one, else on fresh samples of the rule; 10,000 of them, or fewer of long ones.
    Nothing is written without either, or when the job is stopped meanwhile.
    """
    trained = load_trained(paths.model, hp.device, trusted=parse_rule(hp.rule).spec if hp.rule else None)
    about = {"model": str(paths.model), "rule": None, "data": None}
    val = paths.data.val if paths.data is not None else ()
    if val:
        about["data"] = shown(val)
        samples: Iterable[Pair] = lines_of(trained, val, _MOST_SAMPLES)
    elif trained.rule is not None and not hp.infile:
        about["rule"] = trained.rule.spec
        n = max(1, min(_MOST_SAMPLES, _MOST_SYMBOLS // hp.max_len))
        samples = draw(trained.rule, hp.alphabet or trained.rule.alphabet, Series(hp.min_len, hp.max_len, n), hp.seed)
    else:
        return
    try:
        report = evaluate(trained, _until_asked(stop, samples))
    except AhxError as error:  # the job succeeds without it: the model is written
        print(f"ahx: note: the model is not evaluated again: {error}", file=sys.stderr)
        return
    if stop.signal is None:
        text = json.dumps(as_json(about, report, by_length(report), False, None), indent=1)
        with atomic_files([paths.metrics.with_name("evaluation.json")]) as [file]:
            file.write(f"{text}\n".encode())


def keep_newest(paths: RunPaths) -> bool:
    """Write the model of the newest whole checkpoint; False when there is none."""
    newest, _ = checkpoint.newest_whole(paths.run)
    if newest is None:
        return False
    for name in (checkpoint.WEIGHTS, checkpoint.SEEN, checkpoint.CONFIG):
        if (newest / name).exists():
            shutil.copy(newest / name, paths.model / name)
    return True


def _until_asked(stop: StopRequest, samples: Iterable[Pair]) -> Iterator[Pair]:
    for pair in samples:
        if stop.signal is not None:
            return
        yield pair

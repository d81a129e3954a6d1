"""A training run from its hyperparameters to a model on disk: put together here, trained in loop.py."""

import contextlib
import math
import os
import platform
import shlex
import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

import ahx
from ahx.data.seen import Seen
from ahx.errors import AhxError, InputError, StorageError
from ahx.model import checkpoint
from ahx.model.bounds import upper_bound
from ahx.model.certificate import certify
from ahx.model.device import choose_device, keep_memory, usual_threads
from ahx.model.interpreter_certificate import InterpreterChecker
from ahx.model.transformer import Transformer
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.safe_files.atomic import sync
from ahx.text.plural import counted
from ahx.training import card
from ahx.training.choose import Prepare, choose, suited
from ahx.training.data import TrainingData, prepare
from ahx.training.group import ProcessGroup
from ahx.training.hyperparameters import Hyperparameters, default_of, facts
from ahx.training.lock import FolderLock
from ahx.training.lookups import LEAST, SHARE, train_lookups
from ahx.training.loop import Loop, Outcome
from ahx.training.progress import ReadingNotes, Reporter, reporter
from ahx.training.run_paths import RunPaths
from ahx.training.schedule import UNLIMITED, planned_steps
from ahx.training.signals import StoppedEarly, StopRequest
from ahx.training.start import first_model, first_step
from ahx.training.tracking import trackers
from ahx.training.tracking.choice import check

_PATIENCE_S = 2.0  # between Ctrl-C and the end of preparations that take longer, such as reading a large file


def train(hp: Hyperparameters) -> int:
    """Train as `hp` says; the exit code: 0, or 128 + n when signal n asked to stop (the shell's convention)."""
    with StopRequest(_PATIENCE_S) as stop:
        try:
            outcome = run(hp, stop=stop)
        except StoppedEarly as early:
            early.exit_code = 128 + (stop.signal or 0)
            raise
    return 0 if outcome.signal is None else 128 + outcome.signal


def run(
    hp: Hyperparameters, paths: RunPaths | None = None, stop: StopRequest | None = None, quiet: bool = False
) -> Outcome:
    """Train as `hp` says and write the model, to hp.model_out unless `paths` says otherwise. Raises AhxError.

    `stop` is for callers that listen to signals already, or do not want it.
    """
    paths, began = paths or RunPaths.of(hp), time.monotonic()
    if not paths.unattended:  # a job goes on without its tracker, and says so
        check(hp.track, os.environ)
    listening = contextlib.nullcontext(stop) if stop is not None else StopRequest()
    # In a group of processes only the first one writes, so it alone takes the lock, before it connects to the others.
    folder = paths.run / checkpoint.CHECKPOINTS if paths.unattended else paths.run  # jobs may share the former
    alone = FolderLock(folder) if os.environ.get("RANK", "0") == "0" else contextlib.nullcontext()
    keep_memory()
    with listening as stop, alone, ProcessGroup(choose_device(hp.device).type) as rank:
        device = choose_device(hp.device, rank)
        given = checkpoint.load(hp.model_in) if hp.model_in else None
        notes, vocabulary = ReadingNotes(quiet=quiet or rank > 0), given.tokenizer if given else None
        prepared = partial(prepare, paths=paths, on_progress=notes, given=vocabulary)
        data = prepared(hp)
        if given is not None and given.seen is not None:
            data.source.seen = given.seen | (data.source.seen or Seen())
        if hp.threads or device.type == "cpu":
            torch.set_num_threads(hp.threads or usual_threads(hp.batch_size * data.source.longest_row, hp.n_embd))
        resumed = None
        if rank == 0:
            _make_folders(hp, paths)
            resumed = _newest(hp, paths)
        chosen, why = _choice(hp, data, prepared, device, resumed)
        asked, hp = hp, hp.model_copy(update=chosen)
        data = suited(hp, data, prepared) if chosen else data
        if resumed:
            _same_run(asked, data, paths, resumed)
        about = {**_about(asked, data), "chosen": chosen}
        model = resumed.model if resumed else first_model(hp, data, given)
        model = model.to(device)
        step = first_step(hp, data, model, device)
        total = planned_steps(hp, data.steps_per_epoch)[0]
        tracker = trackers.of(hp, paths) if rank == 0 else trackers.Tracker()
        report = trackers.Tracked(reporter(total, sys.stdout.isatty(), rank == 0 and not quiet), tracker)
        try:
            loop = Loop(hp, data, model, step, paths, report, about, stop, began)
            _restore(hp, loop, resumed)
            tracker.begin(trackers.shown(hp), loop.history, loop.seconds)
            _introduce(report, hp, data, model, device, loop, resumed, why)
            outcome = loop()
            if rank == 0 and hp.certify and isinstance(data.rule, Interpreter) and outcome.signal is None:
                outcome = _lookups(hp, data, model, loop, outcome)
            if rank == 0 and loop.keeps_best and (outcome.signal is None or paths.unattended):
                outcome = _best(model, loop, outcome)
            if rank == 0:
                _conclude(report, asked, data, model, paths, outcome, about)
            report.status = "FINISHED" if outcome.signal is None else "KILLED"
        finally:
            report.close()
    return outcome


def _make_folders(hp: Hyperparameters, paths: RunPaths) -> None:
    """Make the folders. Files of an older run that is not resumed are moved aside."""
    try:
        if not hp.resume and (aside := checkpoint.set_aside(paths.run)):
            print(f"ahx: note: what an earlier run left in {paths.run} was moved to {aside}", file=sys.stderr)
        for folder in (paths.run / checkpoint.CHECKPOINTS, paths.model, paths.metrics.parent):
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # one that may not be listed
                sync(folder.parent)
    except OSError as error:
        reason = f"cannot make the folder {error.filename or paths.run}: {error.strerror}; choose another place"
        raise StorageError(reason) from error


def _newest(hp: Hyperparameters, paths: RunPaths) -> checkpoint.Saved | None:
    """The checkpoint from which a resumed run continues."""
    if not hp.resume:
        return None
    newest, complaints = checkpoint.newest_whole(paths.run)
    for complaint in complaints:
        print(f"ahx: warning: {complaint}; going back to the one before", file=sys.stderr)
    if newest is not None:
        return checkpoint.load_folder(newest)
    if not paths.unattended:
        print(f"ahx: note: {paths.run} has no checkpoint to resume from; starting at step 0", file=sys.stderr)
    return None


def _choice(
    hp: Hyperparameters, data: TrainingData, prepare: Prepare, device: torch.device, resumed: checkpoint.Saved | None
) -> tuple[dict[str, Any], str]:
    """What is chosen for a data file, and why; what a resumed run chose at its start. The first process chooses."""
    if resumed is not None:
        chosen, why = {**_defaults_then(hp, resumed), **resumed.config.get("chosen", {})}, ""
    else:
        chosen, why = choose(hp, data, prepare, device, alone=not dist.is_initialized())
    if dist.is_initialized():
        shared = [chosen]
        dist.broadcast_object_list(shared, device=device)
        chosen = shared[0]
    return chosen, why


def _defaults_then(hp: Hyperparameters, saved: checkpoint.Saved) -> dict[str, Any]:
    """The defaults that a run began with, where they follow from a limit that has changed."""
    before, now = saved.config.get("hyperparameters", {}), hp.to_json()
    return {
        name: before[name]
        for name in ("n_embd", "batch_size", "muon_learning_rate")
        if now[name] != before.get(name) == default_of(name, before) and now[name] == default_of(name, now)
    }


def _restore(hp: Hyperparameters, loop: Loop, resumed: checkpoint.Saved | None) -> None:
    """Restore `loop` from the checkpoint. In a group the first process reads it, and sends it to the others."""
    state: dict[str, Any] | None = None
    if resumed is not None:
        before = resumed.config.get("hyperparameters", {})
        same_limits = all(before.get(name) == value for name, value in hp.to_json().items() if facts(name).is_limit)
        state = {**checkpoint.load_training_state(resumed.folder), "same_limits": same_limits}
    if dist.is_initialized():
        shared = [state]
        dist.broadcast_object_list(shared, device=loop.train_step.device)
        state = shared[0]
        dist.broadcast(loop.train_step.flat.values, 0)
    if state is not None:
        loop.restore(state, state["same_limits"])


def _same_run(hp: Hyperparameters, data: TrainingData, paths: RunPaths, saved: checkpoint.Saved) -> None:
    """Refuse to continue with other hyperparameters: the result would belong to neither run.

    Limits may change, and with them the defaults that follow from them, such as a warm-up from max_steps.
    """
    before, now = saved.config.get("hyperparameters", {}), hp.to_json()
    differ = [
        f"{k} was {before.get(k)!r:.80}, now {v!r:.80}"
        for k, v in now.items()
        if not facts(k).may_change
        and before.get(k) != v
        and not (before.get(k) == default_of(k, before) and v == default_of(k, now))
    ]
    if saved.config.get("data", data.source.content) != data.source.content:
        differ.append("the lines of the data files have changed")
    elif saved.tokenizer.to_json() != data.source.tokenizer.to_json():
        differ.append("the vocabulary has changed")
    if differ:
        elsewhere = "another place for checkpoints" if paths.unattended else "another --model-out"
        raise InputError(
            f"cannot resume {paths.run} with other settings: {'; '.join(differ)}. "
            f"Use the old ones, or train into {elsewhere}"
        )


def _about(hp: Hyperparameters, data: TrainingData) -> dict[str, Any]:
    """The content of config.json besides the architecture."""
    return {
        "version": ahx.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "rule": data.rule.spec if data.rule else None,
        "teacher": data.source.teacher.to_json(),
        "data": data.source.content,
        "columns": list(data.source.columns),
        "hyperparameters": hp.to_json(),
        "seen": data.source.seen,
    }


def _introduce(
    report: Reporter, hp: Hyperparameters, data: TrainingData, model: Transformer, device: torch.device, loop: Loop,
    resumed: checkpoint.Saved | None, why: str,
) -> None:  # fmt: skip
    for note in (*data.notes, why, loop.plan):
        if note:
            report.say(note)
    n = sum(p.numel() for p in model.parameters())
    heads = "/".join(model.config.heads) if data.pos == "coupled" else counted(model.config.n_head, "head")
    report.say(
        f"{n:,} parameters in {counted(model.config.n_layer, 'layer')} ({heads}), {len(data.source.tokenizer)} tokens, "
        f"positions {data.pos}, {counted(loop.total, 'step') if loop.total < UNLIMITED else 'steps'} of "
        f"{counted(hp.batch_size, 'sample')} on {device}"
        + (f" in {loop.train_step.world} processes" if loop.train_step.world > 1 else "")
        + " (torch {torch}, numpy {numpy}, Python {python})".format_map(loop.about)
    )
    if resumed is not None:
        report.say(f"going on from step {loop.step:,} ({resumed.folder})")
    if hp.compile:
        report.say("compiling the first step; this takes from seconds to minutes")


def _lookups(hp: Hyperparameters, data: TrainingData, model: Transformer, loop: Loop, outcome: Outcome) -> Outcome:
    """Train the look-ups of an interpreter, so that it can be certified. They are no part of its checkpoints."""
    assert isinstance(data.rule, Interpreter)
    checker = InterpreterChecker(data.rule, data.source.tokenizer)
    steps = max(LEAST, round(SHARE * loop.total))
    asked = f"{len(checker.questions.answer_N):,} questions in {len(checker.first_n) - 1:,} contexts"
    loop.reporter.say(f"training look-ups for {counted(steps, 'step')}: {asked}")
    if not train_lookups(checker, model, hp, steps, loop.reporter, loop.stop):
        return replace(outcome, signal=loop.stop.signal)
    return replace(outcome, metrics={**outcome.metrics, **loop.validate()})


def _best(model: Transformer, loop: Loop, outcome: Outcome) -> Outcome:
    """Give `model` the weights of the best checkpoint, and `outcome` its evaluation."""
    if not loop.best or loop.best["step"] == outcome.step:
        return outcome
    best, last = next(one for one in loop.history if one["step"] == loop.best["step"]), outcome.metrics["val_exact"]
    model.load_state_dict(checkpoint.load_folder(loop.best_folder).model.state_dict())
    reason = f"{outcome.reason}; kept is the best model, that of step {best['step']:,} (the last one: {last:.2%})"
    return replace(outcome, metrics=best, reason=reason)


def _conclude(
    report: Reporter, hp: Hyperparameters, data: TrainingData, model: Transformer, paths: RunPaths, outcome: Outcome,
    about: dict[str, Any],
) -> None:  # fmt: skip
    if outcome.signal is None or paths.unattended:
        about = {**about, "step": outcome.step, "metrics": outcome.metrics}
        checkpoint.save_flat(paths.model, model, data.source.tokenizer, about)
        card.write(paths.model, about, hp)
    if data.source.left_out:
        report.say(data.source.left_out)
    verdict = _verdict(outcome.metrics.get("val_exact"), hp.val_samples, data.source.validation_lines)
    if outcome.signal is None:
        report.say(
            f"stopped after {counted(outcome.step, 'step')}: {outcome.reason}{verdict}. The model is in {paths.model}"
        )
        if hp.certify and data.rule is not None:
            check = certify(paths.model, model, data.source.tokenizer, data.rule)
            if not check.complete:
                raise AhxError(
                    f"not certified: {check}; train longer (num_epochs, now {hp.num_epochs}), or with another seed"
                )
            report.say(f"certified: {check}. The certificate is {paths.model / checkpoint.CERTIFICATE}")
        return
    stopped = f"stopped by {outcome.signal.name} at step {outcome.step:,}; a checkpoint is kept"
    if paths.unattended:
        report.say(f"{stopped}, and the model so far is in {paths.model}{verdict}")
    else:
        report.say(f"{stopped}. Go on with: {' '.join(['ahx train', *_arguments(hp), '--resume'])}")


def _verdict(exact: float | None, judged: int, lines: int) -> str:
    """Of `lines` for validation only the first `judged` may have been looked at; shares are rounded down."""
    if exact is None:
        return ""
    share = f"{math.floor(exact * 10_000 + 1e-6) / 10_000:.2%}"
    if lines <= judged:
        return f", {share} of validation exact"
    most_wrong = upper_bound(judged - round(exact * judged), judged)
    return (
        f", {share} of {judged:,} of {lines:,} validation lines exact (with 95% confidence, at most {most_wrong:.2%} "
        "of all are wrong; val_samples looks at more)"
    )


def _arguments(hp: Hyperparameters) -> list[str]:
    """The options that give these hyperparameters."""
    chosen = hp.model_dump(mode="json", exclude_defaults=True, exclude={"resume"})
    return [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in chosen.items()]

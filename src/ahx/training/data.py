"""Chooses what a run trains on; the sources themselves are in `ahx.data`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ahx.data.files.blocks import Progress
from ahx.data.files.format import Reading
from ahx.data.files.reader import Reader
from ahx.data.files.source import FileSource, open_files
from ahx.data.programs.source import programs_of
from ahx.data.samples.sampler import Sampler
from ahx.data.samples.source import RuleSource, fit_rule
from ahx.data.segmentation import Segmentation
from ahx.data.source import Source
from ahx.data.tokenizer import Tokenizer
from ahx.data.windows.source import WindowSource
from ahx.errors import InputError
from ahx.model.certificate import Check, Checker, machine_of
from ahx.model.interpreter_certificate import check_certifiable
from ahx.model.positions.schemes import SCHEMES
from ahx.model.transformer import Transformer
from ahx.rules import parse_rule
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.rules.rule import Rule
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run_paths import RunPaths
from ahx.training.schedule import planned_steps

#: The position scheme that learns best at the lengths of training where there is no cursor to follow (docs/LOG.md).
_WITHOUT_CURSOR = "alibi"


@dataclass(frozen=True)
class TrainingData:
    """A source, and what follows from it for training."""

    rule: Rule | None
    source: Source
    steps_per_epoch: int
    pos: str
    notes: Sequence[str]
    check: Callable[[Transformer], Check] | None = None  # whether a model is right at every window of a queue machine


def prepare(
    hp: Hyperparameters,
    paths: RunPaths,
    on_progress: Progress = lambda what, done, total: None,
    given: Tokenizer | None = None,
) -> TrainingData:
    """The data that `hp` names. `on_progress` is called while files are read.

    `given` is the vocabulary of a model to start from: it is used where it has all tokens of the data. Raises
    InputError or StorageError before anything is trained.
    """
    rule = parse_rule(hp.rule) if hp.rule else None
    epoch = epoch_of(hp)
    if hp.certify and not isinstance(rule, Interpreter):
        assert rule is not None  # Hyperparameters requires it
        machine = machine_of(rule)
        windows = WindowSource(rule, machine, hp.seed)
        checker = Checker(machine, windows.tokenizer)
        note = f"{len(checker.views):,} windows to learn, which come up in {len(checker.contexts.last_N):,} contexts"
        return TrainingData(rule, windows, epoch, "coupled", [note], checker)
    source: Source
    if isinstance(rule, Interpreter):
        if hp.infile or hp.alphabet:
            raise InputError(f"{hp.rule} draws its own programs; leave out --infile and --alphabet")
        if hp.pos not in ("auto", "coupled"):
            raise InputError(f"{hp.rule} needs coupled positions; leave out --pos {hp.pos}")
        if hp.certify:
            check_certifiable(rule)
        source = programs_of(rule, planned_steps(hp, epoch)[0], (hp.min_len, hp.max_len), hp.seed)
        return TrainingData(rule, source, epoch, "coupled", source.notes)
    sampler = Sampler(hp.alphabet or rule.alphabet, hp.min_len, hp.max_len, rule.snippets()) if rule else None
    use_cursor = hp.pos in ("auto", "coupled")
    if hp.infile:
        source = files = open_files(
            paths.data or hp.infile, rule=rule, use_cursor=use_cursor, seed=hp.seed, cache_dir=paths.caches,
            on_progress=on_progress, given=given, reader=reader_of(hp),
        )  # fmt: skip
        epoch = epoch_of(hp, source)
        if rule and sampler:
            files.fresh = RuleSource(rule, files.teacher, files.tokenizer, sampler, hp.seed)
    else:
        assert rule is not None  # Hyperparameters requires a rule or a file
        assert sampler is not None
        source = fit_rule(rule, sampler, hp.seed, use_cursor, given)
    notes = [*(rule.remarks if rule else ()), *source.notes]
    return TrainingData(rule, source, epoch, _position_scheme(hp, source), notes)


def reader_of(hp: Hyperparameters) -> Reader:
    """A reader of the files of `hp`."""
    reading = Reading(hp.format, hp.columns or "", hp.header)
    return Reader(reading, Segmentation.of(hp.tokens, hp.normalize or ""), hp.val_share)


def epoch_of(hp: Hyperparameters, source: Source | None = None) -> int:
    """Steps of an epoch: of the whole file, where `hp` gives no number of samples."""
    if isinstance(source, FileSource) and not hp.epoch_size:
        return source.steps_per_epoch(hp.batch_size)
    return -(-hp.epoch_size // hp.batch_size)


def _position_scheme(hp: Hyperparameters, source: Source) -> str:
    """The scheme that `hp` asks for, or the one that suits the data. Raises InputError where they do not fit."""
    follows_cursor = source.teacher.kind != "plain"
    pos = hp.pos if hp.pos != "auto" else "coupled" if follows_cursor else _WITHOUT_CURSOR
    if pos == "coupled" and not follows_cursor:
        raise InputError(
            f"pos coupled needs to know which input symbol each output symbol comes from, which is unknown for "
            f"{hp.rule or hp.infile!r}; take --pos {_WITHOUT_CURSOR}"
        )
    if "c" in (hp.heads or "") and pos != "coupled":
        raise InputError(
            f"heads {hp.heads!r} has coupled heads (c), and it is unknown which input symbol each output symbol of "
            f"{hp.rule or hp.infile!r} comes from; use the letters s and g"
        )
    if SCHEMES[pos].trained and 0 < hp.block_size < source.longest_row:
        raise InputError(
            f"block_size ({hp.block_size}) is too small: the longest row has {source.longest_row} tokens "
            "(begin, input, separator, output, stop); give at least that many, or 0"
        )
    return pos

"""What a run trains on: fresh samples of a rule, or files; with the teacher, the vocabulary and the validation set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ahx.data.dataset import Pair, RuleSamples, open_files
from ahx.data.files.blocks import Progress
from ahx.data.programs.programs import ProgramSamples, RowMaker, Runs, vocabulary
from ahx.data.rows import Row
from ahx.data.samples.queue_samples import QueueSamples
from ahx.data.samples.sampler import Sampler
from ahx.data.teacher import MachineTeacher, ProgramTeacher, QueueTeacher, Teacher, choose_teacher, prompt_of
from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError
from ahx.model.certificate import Check, Checker, machine_of
from ahx.model.transformer import Transformer
from ahx.rules import parse_rule
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.rules.rule import Rule
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run_paths import RunPaths

#: A rule's vocabulary and its longest row are read off so many samples.
_PROBED = 4_000
#: Where no cursor can be followed, this scheme learns best at the lengths of training (docs/LOG.md).
_WITHOUT_CURSOR = "alibi"


@dataclass(frozen=True)
class TrainingData:
    """Everything the loop asks of data. `batch(step, batch_size)` depends on nothing but its arguments and the seed."""

    rule: Rule | None
    teacher: Teacher
    tokenizer: Tokenizer
    pos: str
    batch: Callable[[int, int], Sequence[Row]]
    steps_per_epoch: int
    validation: Callable[[], Sequence[Row]]
    longest_row: int
    #: `fresh(n, stream)`: new samples, others for each stream; None where there are none
    fresh: Callable[[int, int], Sequence[Row]] | None = None
    notes: tuple[str, ...] = ()
    #: offsets from the cursor, least and greatest, that the teacher's machine sees
    reads: tuple[int, int] = (0, 0)
    #: heads of each later layer that look things up in the program
    lookups: int = 0
    #: where windows can be enumerated: whether a model is right at all of them
    check: Callable[[Transformer], Check] | None = None


def rows_of(tokenizer: Tokenizer, teacher: Teacher, pairs: Sequence[Pair]) -> list[Row]:
    return [encode(tokenizer, teacher, *pair) for pair in pairs]


def encode(tokenizer: Tokenizer, teacher: Teacher, text: str, output: str) -> Row:
    """The row of one sample. Raises InputError for what the vocabulary or the teacher cannot express."""
    return tokenizer.encode_input(prompt_of(teacher, text)) + tokenizer.encode_steps(teacher.steps(text, output))


def prepare(
    hp: Hyperparameters,
    paths: RunPaths,
    on_progress: Progress = lambda what, done, total: None,
    given: Tokenizer | None = None,
) -> TrainingData:
    """The data that `hp` names. `on_progress` hears how far its files have been read.

    `given` is the vocabulary of a model to start from: it serves where it has all tokens of the data. Raises InputError
    or StorageError before anything is trained.
    """
    rule = parse_rule(hp.rule) if hp.rule else None
    if hp.certify:
        assert rule is not None  # Hyperparameters asks for it
        return _from_windows(hp, rule)
    if isinstance(rule, Interpreter):
        return _from_programs(hp, rule)
    sampler = Sampler(hp.alphabet or rule.alphabet, hp.min_len, hp.max_len, rule.snippets()) if rule else None
    use_cursor = hp.pos in ("auto", "coupled")
    if hp.infile:
        data = _from_files(hp, paths, rule, sampler, use_cursor, on_progress, given)
    else:
        assert rule is not None  # Hyperparameters asks for one of the two
        assert sampler is not None
        data = _from_rule(hp, rule, sampler, use_cursor, given)
    if hp.pos == "coupled" and data.teacher.kind == "plain":
        raise InputError(
            f"pos coupled needs to know which input symbol each output symbol comes from, and nothing tells for "
            f"{hp.rule or hp.infile!r}; take --pos {_WITHOUT_CURSOR}"
        )
    if "c" in (hp.heads or "") and data.pos != "coupled":
        raise InputError(
            f"heads {hp.heads!r} has coupled heads (c), and nothing tells which input symbol each output symbol of "
            f"{hp.rule or hp.infile!r} comes from; use the letters s and g"
        )
    if data.pos == "learned" and 0 < hp.block_size < data.longest_row:
        raise InputError(
            f"block_size ({hp.block_size}) is too small: the longest row has {data.longest_row} tokens "
            "(begin, input, separator, output, stop); give at least that many, or 0"
        )
    return data


def _from_rule(
    hp: Hyperparameters, rule: Rule, sampler: Sampler, use_cursor: bool, given: Tokenizer | None
) -> TrainingData:
    rng = np.random.default_rng((hp.seed, 0xF17))
    # Runs of one symbol are the likeliest to give the longest outputs, and random strings hardly ever are runs.
    texts = sampler.draw(rng, _PROBED) + [symbol * hp.max_len for symbol in sampler.alphabet]
    outputs = {text: rule.apply(text) for text in dict.fromkeys(texts)}  # short strings repeat
    teacher = choose_teacher(rule, [(text, outputs[text]) for text in texts], use_cursor)
    steps = [(text, teacher.steps(text, output)) for text, output in outputs.items()]
    tokenizer = Tokenizer.fit(steps, sampler.alphabet, teacher.start).or_wider(given)
    samples = RuleSamples(rule, teacher, tokenizer, sampler, hp.seed)
    machine = rule.transducer() if isinstance(teacher, MachineTeacher) else None
    return TrainingData(
        rule=rule,
        teacher=teacher,
        tokenizer=tokenizer,
        pos=_scheme(hp, teacher),
        batch=samples.batch,
        steps_per_epoch=-(-hp.epoch_size // hp.batch_size),
        validation=lambda: rows_of(tokenizer, teacher, samples.validation(hp.val_samples)),
        longest_row=max(len(text) + len(taken) + 2 for text, taken in steps),
        fresh=lambda n, stream: rows_of(tokenizer, teacher, samples.fresh(n, stream)),
        notes=(samples.note,) if samples.note else (),
        reads=machine.reads if machine else (0, 0),
    )


def _from_programs(hp: Hyperparameters, rule: Interpreter) -> TrainingData:
    """Programs and runs; see `ahx.data.programs.programs`."""
    if hp.infile or hp.alphabet:
        raise InputError(f"{hp.rule} draws its own programs; leave out --infile and --alphabet")
    if hp.pos not in ("auto", "coupled"):
        raise InputError(f"{hp.rule} needs coupled positions; leave out --pos {hp.pos}")
    steps_per_epoch = -(-hp.epoch_size // hp.batch_size)
    total = hp.max_steps or hp.num_epochs * steps_per_epoch
    tokenizer = vocabulary(rule)
    shape = Runs(steps=RowMaker(rule, tokenizer).writer.steps, lengths=(hp.min_len, hp.max_len))
    samples = ProgramSamples(rule, tokenizer, total, shape, hp.seed)
    return TrainingData(
        rule=rule,
        teacher=ProgramTeacher(rule),
        tokenizer=tokenizer,
        pos="coupled",
        batch=samples.batch,
        steps_per_epoch=steps_per_epoch,
        validation=lambda: samples.validation(hp.val_samples),
        longest_row=samples.longest_row,
        fresh=samples.fresh,
        notes=("programs that are alike but for names are all in training, or all held out",),
        reads=rule.reads,
        lookups=rule.lookups,
    )


def _from_files(
    hp: Hyperparameters, paths: RunPaths, rule: Rule | None, sampler: Sampler | None, use_cursor: bool,
    on_progress: Progress, given: Tokenizer | None,
) -> TrainingData:  # fmt: skip
    files = paths.data or hp.infile or ""
    samples = open_files(
        files, rule=rule, use_cursor=use_cursor, seed=hp.seed, cache_dir=paths.caches, on_progress=on_progress,
        given=given,
    )  # fmt: skip
    teacher, tokenizer = samples.teacher, samples.tokenizer
    drawn = RuleSamples(rule, teacher, tokenizer, sampler, hp.seed) if rule and sampler else None
    machine = rule.transducer() if rule and isinstance(teacher, MachineTeacher) else None
    notes = [samples.note] if samples.note else []
    if teacher.kind == "alignment":
        lengths = teacher.to_json()["lengths"]
        notes.append(f"found in the data: symbols give outputs of fixed length ({_shown(lengths)})")
    return TrainingData(
        rule=rule,
        teacher=teacher,
        tokenizer=tokenizer,
        pos=_scheme(hp, teacher),
        batch=samples.batch,
        steps_per_epoch=-(-hp.epoch_size // hp.batch_size) or samples.steps_per_epoch(hp.batch_size),
        validation=lambda: rows_of(tokenizer, teacher, samples.validation(hp.val_samples)),
        longest_row=samples.longest_row,
        fresh=(lambda n, stream: rows_of(tokenizer, teacher, drawn.fresh(n, stream))) if drawn else None,
        notes=tuple(notes),
        reads=machine.reads if machine else (0, 0),
    )


def _from_windows(hp: Hyperparameters, rule: Rule) -> TrainingData:
    machine = machine_of(rule)
    tokenizer = Tokenizer.of_queue(machine)
    samples = QueueSamples(machine, tokenizer, hp.seed)
    checker = Checker(machine, tokenizer)
    return TrainingData(
        rule=rule,
        teacher=QueueTeacher(rule),
        tokenizer=tokenizer,
        pos="coupled",
        batch=samples.batch,
        steps_per_epoch=-(-hp.epoch_size // hp.batch_size),
        validation=lambda: samples.validation(hp.val_samples),
        longest_row=samples.longest_row,
        notes=(f"{len(checker.views):,} windows to learn, which come up in {len(checker.contexts.last_N):,} contexts",),
        reads=machine.reads,
        check=checker,
    )


def _scheme(hp: Hyperparameters, teacher: Teacher) -> str:
    if hp.pos != "auto":
        return hp.pos
    return _WITHOUT_CURSOR if teacher.kind == "plain" else "coupled"


def _shown(lengths: dict[str, int], most: int = 8) -> str:
    first = ", ".join(f"{symbol}: {length}" for symbol, length in list(lengths.items())[:most])
    return first + (", ..." if len(lengths) > most else "")

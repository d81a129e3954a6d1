"""Teachers turn a sample into the steps that a model learns: those of a rule's transducer, or of an alignment."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

from ahx.data.alignment import Alignment, infer_alignment, plain_steps
from ahx.data.monotone.alignment import MonotoneAlignment
from ahx.errors import CheckpointError, InputError
from ahx.rules.interpreters.interpreter import Interpreter, PromptToken
from ahx.rules.rule import Rule
from ahx.rules.transducer import Start, Step, Transducer, run, written

_ALIGNED_PAIRS = 20_000
_CACHE_SIZE = 100_000
_SHOWN_SYMBOLS = 8


class Teacher(ABC):
    """Turns an (input, output) pair into the steps that a model learns."""

    kind: ClassVar[str]  # as config.json names it

    @property
    @abstractmethod
    def start(self) -> Start:
        """Where the cursor starts."""

    @property
    def reads(self) -> tuple[int, int]:
        """Least and greatest offset from the cursor on which a step depends."""
        return 0, 0

    @property
    def lookups(self) -> int:
        """How many things a step may have to look up in a program."""
        return 0

    def note(self, shown: Callable[[str], str] = str) -> str:
        """What was found in the data, as a sentence; "" if nothing was looked for. `shown` gives symbols as text."""
        return ""

    @property
    def sees_all(self) -> bool:
        """Whether a step may depend on any symbol of the input, besides those near the cursor."""
        return False

    def prompt(self, text: str) -> Sequence[str | PromptToken]:
        """An input as `Tokenizer.encode_input` takes it."""
        return text

    @abstractmethod
    def steps(self, text: str, output: str) -> list[Step]:
        """The steps that write `output`, the last one a STOP. Raises InputError when there are none."""

    def to_json(self) -> dict[str, Any]:
        """What `teacher_from_json` reads."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class _RuleTeacher(Teacher):
    rule: Rule

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "rule": self.rule.spec}


class TransducerTeacher(_RuleTeacher):
    """Follows the transducer of a rule."""

    kind = "machine"

    @cached_property
    def transducer(self) -> Transducer:
        transducer = self.rule.transducer()
        if transducer is None:
            raise InputError(f"the rule {self.rule.spec!r} has no transducer to learn from; choose another --pos")
        return _Cached(transducer)

    @property
    def start(self) -> Start:
        return self.transducer.start

    @property
    def reads(self) -> tuple[int, int]:
        return self.transducer.reads

    def follow(self, text: str) -> list[Step]:
        """The transducer's steps on `text`, whatever they write."""
        return list(run(self.transducer, text))

    def steps(self, text: str, output: str) -> list[Step]:
        steps = self.follow(text)
        if written(steps) != output:
            raise InputError(
                f"the rule {self.rule.spec!r} turns {text[:40]!r} into {written(steps)[:40]!r}, not {output[:40]!r}"
            )
        return steps


class _Cached:
    """A transducer that caches its answers: most steps of most inputs are the same few."""

    def __init__(self, transducer: Transducer) -> None:
        self._transducer, self.start, self.reads = transducer, transducer.start, transducer.reads
        self._answers: dict[tuple[str, ...], Step] = {}

    def step(self, state: str, view: Sequence[str]) -> Step:
        answer = self._answers.get((state, *view))
        if answer is None:
            answer = self._transducer.step(state, view)
            if len(self._answers) >= _CACHE_SIZE:
                self._answers.clear()
            self._answers[state, *view] = answer
        return answer


class QueueTeacher(_RuleTeacher):
    """Follows a rule as a queue machine, without end, so there is no output."""

    kind = "queue"

    @property
    def start(self) -> Start:
        return "queue"

    @property
    def reads(self) -> tuple[int, int]:
        machine = self.rule.queue()
        return machine.reads if machine else super().reads

    def steps(self, text: str, output: str) -> list[Step]:
        raise InputError(
            f"the model knows {self.rule.spec!r} as a machine: check it with `ahx verify`, run it with `ahx exec`"
        )


@dataclass(frozen=True)
class ProgramTeacher(_RuleTeacher):
    """Follows the program in the prompt, as `rule` does."""

    rule: Interpreter
    kind = "program"

    @property
    def start(self) -> Start:
        return self.rule.start

    @property
    def reads(self) -> tuple[int, int]:
        return self.rule.reads

    @property
    def lookups(self) -> int:
        return self.rule.lookups

    def prompt(self, text: str) -> Sequence[str | PromptToken]:
        return self.rule.prompt(text)

    def steps(self, text: str, output: str) -> list[Step]:
        steps = self.rule.steps(text)
        if (right := "".join(step.symbol for step in steps[:-1])) != output:
            raise InputError(f"the program turns {text[-40:]!r} into {right[:40]!r}, not {output[:40]!r}")
        return steps


@dataclass(frozen=True)
class AlignmentTeacher(Teacher):
    """Cuts the output into one chunk per input symbol."""

    alignment: Alignment
    around: tuple[int, int] = (0, 0)  # the window on which chunks depend
    kind = "alignment"

    @property
    def reads(self) -> tuple[int, int]:
        return self.around

    @property
    def start(self) -> Start:
        return self.alignment.start

    def note(self, shown: Callable[[str], str] = str) -> str:
        lengths = [f"{shown(symbol)}: {length}" for symbol, length in self.alignment.lengths.items()]
        listed = ", ".join(lengths[:_SHOWN_SYMBOLS] + ["..."] * (len(lengths) > _SHOWN_SYMBOLS))
        return f"found in the data: symbols give outputs of fixed length ({listed})"

    def steps(self, text: str, output: str) -> list[Step]:
        return self.alignment.steps(text, output)

    def to_json(self) -> dict[str, Any]:
        wider = {"reads": list(self.around)} if self.around != (0, 0) else {}
        return {"kind": self.kind, "start": self.alignment.start, "lengths": self.alignment.lengths, **wider}


@dataclass(frozen=True)
class MonotoneTeacher(Teacher):
    """Cuts the output into the chunks of the most probable monotone alignment."""

    alignment: MonotoneAlignment
    kind = "monotone"

    @property
    def start(self) -> Start:
        return self.alignment.start

    @property
    def reads(self) -> tuple[int, int]:
        return self.alignment.evidence.reads

    @property
    def sees_all(self) -> bool:
        return self.alignment.evidence.whole

    def note(self, shown: Callable[[str], str] = str) -> str:
        reads, whole, settled, _ = self.alignment.evidence
        far = "; symbols farther away matter too" if whole else ""
        return (
            f"found in the data: a monotone alignment, read from the {self.start}, with 0 to "
            f"{self.alignment.chunks.longest} output symbols for each input symbol; windows of {reads[0]} to "
            f"{reads[1]:+} around the cursor settle {settled:.1%} of held-out lines by a decision list{far}"
        )

    def steps(self, text: str, output: str) -> list[Step]:
        return self.alignment.steps(text, output)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.alignment.to_json()}


@dataclass(frozen=True)
class PlainTeacher(Teacher):
    """The output alone, for models without a cursor."""

    why: str = field(default="", compare=False)  # no alignment was found
    kind = "plain"

    @property
    def start(self) -> Start:
        return "left"

    def note(self, shown: Callable[[str], str] = str) -> str:
        return f"the data show no monotone alignment: {self.why}" if self.why else ""

    def steps(self, text: str, output: str) -> list[Step]:
        return plain_steps(output)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "why": self.why} if self.why else super().to_json()


def choose_teacher(rule: Rule | None, pairs: Iterable[tuple[str, str]], use_cursor: bool) -> Teacher:
    """The transducer of `rule`, else an alignment that fits the first 20,000 pairs, else a plain teacher.

    `use_cursor` says whether the model's position scheme follows the cursor; without it the teacher is plain.
    """
    if not use_cursor:
        return PlainTeacher()
    if rule is not None and rule.transducer() is not None:
        return TransducerTeacher(rule)
    alignment = infer_alignment(islice(pairs, _ALIGNED_PAIRS))
    return PlainTeacher() if alignment is None else AlignmentTeacher(alignment)


def teacher_from_json(data: Mapping[str, Any], rule: Rule | None = None) -> Teacher:
    """The teacher that `to_json` described. Raises CheckpointError when `data` is no such description."""
    match data:
        case {"kind": "plain"}:
            return PlainTeacher(str(data.get("why", "")))
        case {"kind": "machine"} if rule is not None and rule.transducer() is not None:
            return TransducerTeacher(rule)
        case {"kind": "queue"} if rule is not None and rule.queue() is not None:
            return QueueTeacher(rule)
        case {"kind": "program"} if isinstance(rule, Interpreter):
            return ProgramTeacher(rule)
        case {"kind": "alignment", "start": "left" | "right" as start, "lengths": dict(lengths)}:
            low, high = data.get("reads", (0, 0))
            alignment = Alignment(start, {str(symbol): int(n) for symbol, n in lengths.items()})
            return AlignmentTeacher(alignment, (int(low), int(high)))
        case {"kind": "monotone", **rest}:
            with suppress(KeyError, TypeError, ValueError, InputError):
                return MonotoneTeacher(MonotoneAlignment.from_json(rest))
    raise CheckpointError(f"{str(dict(data))[:80]} does not describe a teacher; the model's config.json is damaged")

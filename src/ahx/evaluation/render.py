"""A report as text, and as JSON."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ahx.evaluation.edits import Edits
from ahx.evaluation.judging import REASONS
from ahx.evaluation.leaks import Leak
from ahx.evaluation.reliability import BINS, Reliability
from ahx.evaluation.report import Failure, Report, Tally, total
from ahx.text.plural import counted
from ahx.text.printing import masked, width

_MOST_ROWS = 20
_CONFUSIONS, _JSON_CONFUSIONS = 8, 100  # the most frequent ones are shown
_WIDTH = 72  # symbols of a string that are shown


@dataclass(frozen=True)
class Group:
    """The samples of some input lengths."""

    min_len: int
    max_len: int
    tally: Tally

    @property
    def label(self) -> str:
        return str(self.min_len) if self.min_len == self.max_len else f"{self.min_len}-{self.max_len}"


def by_length(report: Report) -> list[Group]:
    """One group for each input length that occurs."""
    return [Group(length, length, tally) for length, tally in sorted(report.by_length.items())]


def as_json(
    about: Mapping[str, Any], report: Report, groups: Sequence[Group], decode: bool, leak: Leak | None
) -> dict[str, Any]:
    """What `ahx eval --json` prints; names and meanings stay. Shares are 0 to 1; null is "not measured".

    `about` says what was evaluated: model, rule, data. Loss (nats per token) and min_margin (logits) are over
    teacher-forced samples, so null with decode. A failure's position counts symbols from 0. Repeated samples are judged
    once; samples_per_second counts them all. Alternatives are samples that were not counted, as they give another right
    output for an input that was. A confusion's expected symbol is "" where a symbol was inserted, its got where one was
    left out. Calibration compares the probabilities of answers with the share that is exact, in bins.
    """
    edits = report.edits
    return {
        **about,
        "mode": "decoded" if decode else "teacher_forced",
        **_numbers(report.total),
        "leak": None if leak is None else {"train": leak.train, "share": leak.share},
        "by_length": [{"min_len": g.min_len, "max_len": g.max_len, **_numbers(g.tally)} for g in groups],
        "failure_reasons": dict(report.reasons),
        "failures": [
            {"input": f.text, "expected": f.expected, "got": f.got, "position": f.position, "reason": f.reason}
            for f in report.failures
        ],
        "seconds": report.seconds,
        "samples_per_second": _finite(report.samples_per_second),
        "alternatives": report.alternatives,
        "symbol_errors": {
            "rate": _finite(edits.rate),
            "symbols": edits.symbols,
            "substitutions": edits.substitutions,
            "insertions": edits.insertions,
            "deletions": edits.deletions,
            "confusions": [
                {"expected": expected, "got": got, "count": count}
                for (expected, got), count in edits.confusions.most_common(_JSON_CONFUSIONS)
            ],
        },
        "calibration": {
            "error": _finite(report.reliability.error),
            "bins": [
                {"samples": one.samples, "probability": one.mean, "exact_share": one.share}
                for one in report.reliability.bins
                if one.samples
            ],
        },
    }


def _numbers(tally: Tally) -> dict[str, Any]:
    return {
        "samples": tally.samples,
        "exact": tally.exact,
        "exact_share": _finite(tally.share),
        "loss": _finite(tally.loss),
        "min_margin": _finite(tally.margin),
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity and no "not a number"."""
    return value if math.isfinite(value) else None


def as_text(title: str, report: Report, groups: Sequence[Group], decode: bool, leak: Leak | None) -> str:
    """What `ahx eval` prints."""
    tally = report.total
    lines = [title, ""]
    lines.append(f"  exact match    {_count(tally)}  {percent(tally)}")
    lines.append(f"  symbol errors  {_edits(report.edits)}")
    if report.alternatives:
        lines.append(f"  alternatives   {counted(report.alternatives, 'line')} with another right output for an input")
    if not decode:
        lines.append(f"  loss           {_number(tally.loss, '.3g')} nats per token")
        lines.append(f"  least margin   {_number(tally.margin, '.2f')} logits")
    if leak is not None:
        lines.append(f"  leak           {leak}")
    how = "decoded token by token" if decode else "teacher-forced, failures decoded"
    speed = _number(report.samples_per_second, ",.0f")
    lines.append(f"  speed          {speed} samples/s ({report.seconds:.2f} s; {how}; repeated ones judged once)")
    lines += ["", *_table(groups, decode)]
    lines += _confusions(report.edits) + _reliability(report.reliability)
    if report.reasons:
        lines += ["", "why samples failed:"]
        lines += [f"  {count:>9,}  {REASONS[reason]}" for reason, count in report.reasons.most_common()]
    if report.failures:
        lines += ["", "the first failure:" if len(report.failures) == 1 else "the first failures:"]
        for failure in report.failures:
            lines += ["", *_lines_of(failure)]
    return "\n".join(lines)


def _edits(edits: Edits) -> str:
    kinds = ", ".join(counted(getattr(edits, kind + "s"), kind) for kind in ("substitution", "insertion", "deletion"))
    return f"{edits.rate:.2%} ({kinds} in {counted(edits.symbols, 'symbol')})" if edits.symbols else "-"


def _confusions(edits: Edits) -> list[str]:
    """The most frequent confusions, one line."""
    found = edits.confusions.most_common(_CONFUSIONS)
    if not found:
        return []
    shown = [f"{masked(a) or 'nothing'} -> {masked(b) or 'nothing'} {n:,}" for (a, b), n in found]
    return ["", f"most frequent confusions, expected -> written: {', '.join(shown)}"]


def _reliability(reliability: Reliability) -> list[str]:
    """The reliability table, unless all answers are about equally probable."""
    used = [(at, one) for at, one in enumerate(reliability.bins) if one.samples]
    if len(used) < 2:
        return []
    rows = [["probability", "answers", "mean", "exact"]]
    rows += [
        [f"{at / BINS:.0%}-{(at + 1) / BINS:.0%}", f"{one.samples:,}", f"{one.mean:.1%}", f"{one.share:.1%}"]
        for at, one in used
    ]
    return [
        "",
        f"probabilities differ from the share that is exact by {reliability.error:.1%} on average:",
        *aligned(rows),
    ]


def percent(tally: Tally) -> str:
    """The share that is exact, rounded down: 100.00 % means all."""
    if not tally.samples:
        return "-"
    return f"{tally.exact * 10_000 // tally.samples / 100:.2f} %"


def _count(tally: Tally) -> str:
    return f"{tally.exact:,} / {tally.samples:,}"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _table(groups: Sequence[Group], decode: bool) -> Iterator[str]:
    head = ["length", "exact match", "", "loss", "least margin"][: 3 if decode else 5]
    rows = [head]
    for group in _fewer(groups):
        tally = group.tally
        row = [group.label, _count(tally), percent(tally), _number(tally.loss, ".3g"), _number(tally.margin, ".2f")]
        rows.append(row[: len(head)])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row of a table, its cells flush right in their columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(cell.rjust(most) for cell, most in zip(row, widths, strict=True)).rstrip()


def _fewer(groups: Sequence[Group]) -> Sequence[Group]:
    """Neighbouring lengths put together where there are too many for a table."""
    if len(groups) <= _MOST_ROWS:
        return groups
    size = -(-len(groups) // _MOST_ROWS)
    parts = [groups[at : at + size] for at in range(0, len(groups), size)]
    return [Group(part[0].min_len, part[-1].max_len, total(g.tally for g in part)) for part in parts]


def _lines_of(failure: Failure) -> Iterator[str]:
    at = failure.position
    yield f"  input     {excerpt(failure.text, min(at or 0, len(failure.text)))}"
    yield f"  expected  {excerpt(failure.expected, at or 0)}"
    if failure.got is None or at is None:
        yield f"  got       nothing: {REASONS[failure.reason]}"
        return
    yield f"  got       {excerpt(failure.got, at)}"
    yield f"            {' ' * caret(failure.got, at)}^ {describe(failure.expected, failure.got, at)}"


def describe(expected: str, got: str, at: int) -> str:
    """What is wrong at position `at`, the first where the two strings differ."""
    if got == expected:
        return "right so far, but the model did not stop"
    if at == len(got):
        return f"symbol {at + 1:,} and what follows is missing"
    if at == len(expected):
        return f"symbol {at + 1:,} should not be there: the output ends before it"
    return f"symbol {at + 1:,} should be {expected[at]!r}"


def excerpt(text: str, at: int) -> str:
    """The part of `text` around position `at` that fits a line; control characters become visible."""
    first = _first_shown(at)
    shown = text[first : first + _WIDTH]
    before, after = "..." if first else "", "..." if len(text) > first + _WIDTH else ""
    return before + masked(shown) + after


def caret(text: str, at: int) -> int:
    """The column of position `at` in `excerpt`, from 0."""
    first = _first_shown(at)
    return width(excerpt(text, at)[: at - first + (3 if first else 0)])


def _first_shown(at: int) -> int:
    return 0 if at < _WIDTH - 12 else at - _WIDTH // 2

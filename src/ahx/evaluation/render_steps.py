"""A report on an interpreter's steps as text for people, and as JSON for programs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ahx.evaluation.render import aligned, caret, describe, excerpt
from ahx.evaluation.report import first_difference
from ahx.evaluation.step_errors import Mistake, StepReport, merged


class Lengths(NamedTuple):
    """The result for first configurations of some lengths, in cells."""

    least: int
    greatest: int
    report: StepReport


def steps_as_json(about: Mapping[str, Any], groups: Sequence[Lengths], decode: bool) -> dict[str, Any]:
    """What `ahx eval --json` prints for an interpreter; names and meanings stay. Null is "not measured".

    `about` says what was evaluated: model, rule and programs. error_bound is the one-sided 95 % bound of a step's error
    rate, programs counts those that are equal up to renaming once, min_margin is in logits and null with decode. A
    failure's position counts symbols from 0.
    """
    whole = merged(group.report for group in groups)
    return {
        **about,
        "mode": "decoded" if decode else "teacher_forced",
        **_numbers(whole),
        "by_length": [{"min_len": g.least, "max_len": g.greatest, **_numbers(g.report)} for g in groups],
        "failures": [
            {
                "program": m.program,
                "configuration": m.before,
                "expected": m.expected,
                "got": m.got,
                "position": first_difference(m.expected, m.got),
            }
            for m in whole.mistakes
        ],
        "seconds": whole.seconds,
        "steps_per_second": whole.steps / whole.seconds if whole.seconds else None,
    }


def _numbers(report: StepReport) -> dict[str, Any]:
    return {
        "steps": report.steps,
        "errors": report.errors,
        "error_rate": report.errors / report.steps if report.steps else None,
        "error_bound": report.bound,
        "min_margin": report.margin if math.isfinite(report.margin) else None,
        "programs": report.programs,
    }


def steps_as_text(title: str, groups: Sequence[Lengths], decode: bool) -> str:
    """What `ahx eval` prints for an interpreter."""
    whole = merged(group.report for group in groups)
    lines = [title, "", f"  errors         {whole.errors:,} in {whole.steps:,} steps, each asked after right ones"]
    lines.append(f"  error rate     below {whole.bound:.2g} with 95 % confidence")
    if not decode:
        lines.append(f"  least margin   {_margin(whole)} logits")
    lines.append(f"  programs       {whole.programs:,}, those equal up to renaming counted once; none used in training")
    how = "decoded token by token" if decode else "teacher-forced"
    speed = whole.steps / whole.seconds if whole.seconds else math.nan
    lines.append(f"  speed          {speed:,.0f} steps/s ({whole.seconds:.2f} s; {how})")
    lines += ["", *_table(groups)]
    if whole.mistakes:
        lines += ["", "the first failure:" if len(whole.mistakes) == 1 else "the first failures:"]
        for mistake in whole.mistakes:
            lines += ["", *_lines_of(mistake)]
    return "\n".join(lines)


def _margin(report: StepReport) -> str:
    return f"{report.margin:.2f}" if math.isfinite(report.margin) else "-"


def _table(groups: Sequence[Lengths]) -> Iterator[str]:
    rows = [["cells", "programs", "errors / steps", "95 % bound", "least margin"]]
    for least, greatest, report in groups:
        cells = str(least) if least == greatest else f"{least}-{greatest}"
        errors = f"{report.errors:,} / {report.steps:,}"
        rows.append([cells, f"{report.programs:,}", errors, f"{report.bound:.2g}", _margin(report)])
    return aligned(rows)


def _lines_of(mistake: Mistake) -> Iterator[str]:
    at = first_difference(mistake.expected, mistake.got)
    yield f"  program        {mistake.program}"
    yield f"  configuration  {excerpt(mistake.before, min(at, len(mistake.before)))}"
    yield f"  expected       {excerpt(mistake.expected, at)}"
    yield f"  got            {excerpt(mistake.got, at)}"
    yield f"                 {' ' * caret(mistake.got, at)}^ {describe(mistake.expected, mistake.got, at)}"

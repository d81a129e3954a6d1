"""What a study has found, as sentences, as a table and as JSON."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ahx.model.bounds import upper_bound
from ahx.study.lines import Curve
from ahx.study.search import Findings
from ahx.study.trial import SIZE, Attempt, Config, Result
from ahx.text.plural import counted

COLUMNS = ("positions", "model", "parameters", "batch", "exact", "samples", "seconds")


@dataclass
class Answer:
    """All findings of a study, with the measurements of its models."""

    subject: str  # the rule, or the data file
    findings: Sequence[Findings]
    seconds_are: str  # "CPU s" or "s"
    parameters: Mapping[tuple[Any, ...], tuple[int, str]] = field(default_factory=dict)  # pos, size -> number, scheme
    lengths: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)  # pos -> multiple: share, a seed
    curve: Curve | None = None
    certified: bool = False
    complete: bool = True

    def sentences(self) -> list[str]:
        """One paragraph for each position scheme, one for the data, and what k of n means."""
        told = [self._scheme(found) for found in self.findings if found.usual is not None]
        if self.curve is not None and self.curve.attempts:
            told.append(_data(self.curve))
        counts = {len(found.usual.seeds) for found in self.findings if found.usual is not None and found.usual.enough}
        told += [
            f"{n} of {n} seeds: {100 * (1 - upper_bound(0, n)):.0f} % of all seeds or more, with 95 % confidence "
            "(Clopper-Pearson). Intervals go from the least to the greatest of the seeds."
            for n in counts
        ]
        failures = [r.failure for found in self.findings for a in found.attempts for r in a.results if r.failure]
        if failures:
            told.append(
                f"{counted(len(failures), 'trial')} broke off with an error and count as not exact; "
                f"--retry-failed trains them again. The first: {failures[0]}"
            )
        if not self.complete:
            told.append("The budget was spent before the search had ended; the same command continues it.")
        return told

    def _scheme(self, found: Findings) -> str:
        usual, smallest = found.usual, found.smallest
        assert usual is not None
        name = f"{self.subject}, positions {self.scheme(usual.config)}"
        if not usual.enough or smallest is None:
            best = max(one.val_exact for one in usual.results)
            limit = usual.config["max_steps"] * usual.config["batch_size"]
            return (
                f"{name}: not learnt exactly within {limit:,} samples by {self.model(usual.config)} "
                f"({usual.exact} of {counted(len(usual.results), 'seed')}; at best {best:.2%} of validation)."
            )
        told = [f"{name}: {self.model(smallest.config)} are enough ({_seeds(smallest)})"]
        for number, one in enumerate(found.fresh):
            told[0] += f"; {self.model(one.config)}: " if number else ", and with fresh seeds "
            told[0] += f"{one.exact} of {len(one.results)}"
        if smaller := found.not_enough():
            tried = "; ".join(f"{_size(one.config)}: {one.exact} of {len(one.results)}" for one in smaller[-3:])
            told.append(f"Not enough: {tried}")
        samples, fast = found.best("samples"), found.best("seconds")
        if samples is not None and fast is not None:
            told.append(
                f"Fewest samples: {_span(samples.samples)} ({_size(samples.config)}, batches of "
                f"{samples.config['batch_size']}); least time: {_span(fast.seconds)} {self.seconds_are} "
                f"({_size(fast.config)}, batches of {fast.config['batch_size']})"
            )
        told += [text for text in [self._holds(found.pos)] if text]
        return ". ".join(told) + "."

    def _holds(self, pos: str) -> str:
        if self.certified:
            return "It is certified: right at every window, so at every length"
        measured = self.lengths.get(pos, ())
        if not measured:
            return ""
        shares = {int(k): [one[k] for one in measured] for k in measured[0]}
        holding = [k for k, each in shares.items() if min(each) == 1.0]
        told = f"It holds to {max(holding)} times the length" if holding else "Fresh samples show errors"
        beyond = {k: each for k, each in shares.items() if not holding or k > max(holding)}
        return told + "".join(f"; exact at {k}x: {_percent(each)}" for k, each in list(beyond.items())[:1])

    def scheme(self, config: Config) -> str:
        """The position scheme that `config` has, auto resolved."""
        known = [pos for (asked, *_), (_, pos) in self.parameters.items() if asked == config["pos"]]
        return known[0] if known else str(config["pos"])

    def model(self, config: Config) -> str:
        """1 layer, 2 heads of 4 channels, 900 parameters"""
        n = self.n_parameters(config)
        return _size(config) + (f", {n:,} parameters" if n is not None else "")

    def n_parameters(self, config: Config) -> int | None:
        found = self.parameters.get((config["pos"], *(config[name] for name in SIZE)))
        return found[0] if found else None

    def rows(self) -> list[tuple[str, ...]]:
        """The table: every attempt, in the order of parameters."""
        attempts = [one for found in self.findings for one in found.attempts]
        return [
            (
                self.scheme(one.config), _size(one.config), f"{self.n_parameters(one.config) or 0:,}",
                f"{one.config['batch_size']}, rate {one.config['learning_rate']:g}",
                f"{one.exact} of {len(one.results)}", _span(one.samples), _span(one.seconds),
            )
            for one in sorted(attempts, key=lambda one: (str(one.config["pos"]), self.n_parameters(one.config) or 0))
        ]  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "subject": self.subject,
            "answer": self.sentences(),
            "complete": self.complete,
            "seconds_are": self.seconds_are,
            "schemes": {found.pos: self._scheme_json(found) for found in self.findings},
            "data": None if self.curve is None else _curve_json(self.curve),
        }

    def _scheme_json(self, found: Findings) -> dict[str, Any]:
        named = {
            "usual": found.usual, "smallest": found.smallest, "confirmed": next(iter(found.fresh), None),
            "smallest_confirmed": next((one for one in found.fresh if one.enough), None),
            "fewest_samples": found.best("samples"), "least_seconds": found.best("seconds"),
        }  # fmt: skip
        return {
            "positions": self.scheme({"pos": found.pos}),
            **{name: None if one is None else self._attempt_json(one) for name, one in named.items()},
            "attempts": [self._attempt_json(one) for one in found.attempts],
            "exact_by_length": list(self.lengths.get(found.pos, ())),
        }

    def _attempt_json(self, one: Attempt) -> dict[str, Any]:
        shown = {name: one.config[name] for name in (*SIZE, "batch_size", "learning_rate", "muon_learning_rate")}
        return {
            **shown, "parameters": self.n_parameters(one.config), "exact": one.exact, "of": len(one.results),
            "samples": one.samples, "seconds": one.seconds,
            "most_samples": one.config["max_steps"] * one.config["batch_size"],
        }  # fmt: skip


def trials_csv(trials: Sequence[tuple[Config, Result]]) -> str:
    """A line for each trial: what differs among the configurations, and what came out."""
    names = dict.fromkeys(name for config, _ in trials for name in config)
    varied = [name for name in names if len({str(config.get(name)) for config, _ in trials}) > 1]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    results = list(Result(False).to_json())
    table.writerow([*varied, *results])
    for config, result in trials:
        table.writerow([*(config.get(name, "") for name in varied), *result.to_json().values()])
    return text.getvalue()


def _size(config: Config) -> str:
    layers, heads, width = (config[name] for name in SIZE)
    return f"{counted(layers, 'layer')}, {counted(heads, 'head')} of {counted(width // heads, 'channel')}"


def _seeds(attempt: Attempt) -> str:
    return f"{attempt.exact} of {counted(len(attempt.results), 'seed')}"


def _span(values: Sequence[float]) -> str:
    """1,280 - 1,600"""
    if not values:
        return ""
    shown = list(dict.fromkeys(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in values))
    return shown[0] if len(shown) == 1 else f"{shown[0]} - {shown[-1]}"


def _percent(shares: Sequence[float]) -> str:
    shown = list(dict.fromkeys(f"{share:.4g}" for share in sorted(100 * one for one in shares)))
    return f"{' - '.join([shown[0], shown[-1]] if len(shown) > 1 else shown)} %"


def _data(curve: Curve) -> str:
    told = ", ".join(f"{n:,}: {_percent(shares)}" for n, shares in curve.points())
    wrong = [n for n, shares in curve.points() if min(shares) < 1.0]
    enough = [n for n, _ in curve.points() if not wrong or n > max(wrong)]
    text = f"Exact match by lines of training data: {told}."
    if enough:
        text += f" {min(enough):,} lines are enough."
    if (check := curve.check()) is None:
        return text
    text += (
        f" A power law through all but the largest, error = {check.without.scale:.3g} * lines^-"
        f"{check.without.exponent:.2f}, predicts {check.predicted:.2%} errors at {check.lines:,} lines; "
        f"measured: {check.error:.2%}"
        + (f", {_times(check.predicted, check.error)}." if check.error else f" of {_checked(curve):,}.")
    )
    if not enough:
        needed = check.fit.lines(0.5 / _checked(curve))
        text += f" Through all of them: no error among {_checked(curve):,} at about {needed:,.2g} lines."
    return text


def _checked(curve: Curve) -> int:
    """Validation lines of all seeds together."""
    return curve.validation * len(curve.points()[-1][1])


def _times(predicted: float, measured: float) -> str:
    factor = max(predicted, measured) / min(predicted, measured)
    return f"{factor:.1f} times as {'few' if measured < predicted else 'many'}" if factor >= 1.05 else "as predicted"


def _curve_json(curve: Curve) -> dict[str, Any]:
    check = curve.check()
    points = [{"lines": n, "exact": shares} for n, shares in curve.points()]
    if check is None:
        return {"points": points, "held_back": None}
    held = {"lines": check.lines, "predicted_error": check.predicted, "measured_error": check.error,
            "scale": check.without.scale, "exponent": check.without.exponent}  # fmt: skip
    return {"points": points, "held_back": held}

"""The search itself, as generators: each yields the trials that it needs next and is sent their results.

It is plain bisection. A configuration is enough when every seed learns the rule exactly, so one seed that fails
settles a size, and the others are not trained. Layers, width and heads are made smaller one after the other.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from ahx.study.session import Search
from ahx.study.trial import Attempt, Config, Result

WIDTHS = (2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128)
HEADS = (1, 2, 4, 8)
_NO_TRIALS: list[Config] = []

Trying = Generator[list[Config], list[Result], Attempt]


@dataclass
class Findings:
    """The results so far for one position scheme. A search fills it in as it proceeds."""

    pos: str
    attempts: list[Attempt] = field(default_factory=list)  # all of them, in order
    usual: Attempt | None = None
    smallest: Attempt | None = None
    fresh: list[Attempt] = field(default_factory=list)  # the smallest with fresh seeds; wider ones until all are exact

    @property
    def enough(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.enough]

    def best(self, what: str) -> Attempt | None:
        """The attempt that needed the least: samples or seconds."""
        return min(self.enough, key=lambda attempt: attempt.typical(what), default=None)

    def not_enough(self) -> list[Attempt]:
        """Sizes that were tried and are not enough."""
        enough = {attempt.size() for attempt in self.enough}
        return [attempt for attempt in self.attempts if attempt.size() not in enough]


def study(start: Config, seeds: Sequence[int], found: Findings, fresh: int = 0, fixed: Sequence[str] = ()) -> Search:
    """Everything about one position scheme. `start` is the usual model; hyperparameters in `fixed` stay as they are.

    `fresh` is with how many new seeds the smallest model is trained again at the end, and wider ones where it fails.
    """
    trials = Trials(tuple(seeds), found)
    found.usual = yield from trials.all_seeds(start)
    if not found.usual.enough:
        return
    found.smallest = found.usual
    yield from _smallest(trials, start, found, fixed)
    if start.get("until_exact") or start.get("certify"):  # others train to their limit, whatever their results
        yield from _fastest(trials, found, fixed)
    if fresh:
        again = Trials(tuple(range(max(seeds) + 1, max(seeds) + 1 + fresh)), Findings(found.pos))
        now = found.smallest.config
        widths = [width for width in WIDTHS if now["n_embd"] < width <= start["n_embd"] and "n_embd" not in fixed]
        for config in [now, *filter(_fits, ({**now, "n_embd": width} for width in widths))]:
            found.fresh.append((yield from again.all_seeds(config)))
            if found.fresh[-1].enough:
                break


@dataclass
class Trials:
    """Trains configurations with several seeds and keeps what came out."""

    seeds: tuple[int, ...]
    found: Findings

    def all_seeds(self, config: Config) -> Trying:
        results = yield [{**config, "seed": seed} for seed in self.seeds]
        return self._keep(config, results)

    def one_by_one(self, config: Config) -> Trying:
        """The first seed; the others only where that one was exact."""
        first = yield [{**config, "seed": self.seeds[0]}]
        rest = (yield [{**config, "seed": seed} for seed in self.seeds[1:]]) if first[0].exact else []
        return self._keep(config, first + rest)

    def _keep(self, config: Config, results: Sequence[Result]) -> Attempt:
        attempt = Attempt(config, self.seeds, tuple(results))
        self.found.attempts = [one for one in self.found.attempts if one.config != config] + [attempt]
        return attempt

    def least(self, configs: Sequence[Config], known: Attempt) -> Trying:
        """The first of `configs`, ascending, that is enough; `known`, above all of them, where none is. Bisection."""
        low, high = 0, len(configs)
        while low < high:
            middle = (low + high) // 2
            attempt = yield from self.one_by_one(configs[middle])
            if attempt.enough:
                high, known = middle, attempt
            else:
                low = middle + 1
        return known


def _smallest(trials: Trials, start: Config, found: Findings, fixed: Sequence[str]) -> Search:
    """Fewer layers, then a smaller width, then fewer heads, and the width once more: it depends on the heads."""
    assert found.smallest is not None
    for name, ladder in (("n_layer", range(1, 100)), ("n_embd", WIDTHS), ("n_head", HEADS), ("n_embd", WIDTHS)):
        if name in fixed:
            continue
        now = found.smallest.config
        smaller = [{**now, name: value} for value in ladder if value < now[name]]
        found.smallest = yield from trials.least([one for one in smaller if _fits(one)], found.smallest)


def _fits(config: Config) -> bool:
    width, heads = config["n_embd"], config["n_head"]
    return width % heads == 0 and not (config.get("pos") == "rope" and width // heads % 2)


def _fastest(trials: Trials, found: Findings, fixed: Sequence[str]) -> Search:
    """Other batch sizes and learning rates around the best so far, one seed each; the best of them with all seeds."""
    for change in (_batch_sizes, _learning_rates):
        best = found.best("samples")
        assert best is not None
        candidates = change(best, fixed)
        if not candidates:
            continue
        firsts = yield [{**config, "seed": trials.seeds[0]} for config in candidates]
        exact = [(one, config) for one, config in zip(firsts, candidates, strict=True) if one.exact]
        for what in ("samples", "seconds"):
            so_far = found.best(what)
            assert so_far is not None
            better = [pair for pair in exact if getattr(pair[0], what) < so_far.typical(what)]
            if better:
                yield from trials.one_by_one(min(better, key=lambda pair: float(getattr(pair[0], what)))[1])


def _batch_sizes(best: Attempt, fixed: Sequence[str]) -> list[Config]:
    """Smaller and larger batches, evaluated more often than so far: that is how exactly samples are counted.

    The limit is one of samples: smaller batches may take more steps.
    """
    now, samples = best.config["batch_size"], best.config["batch_size"] * best.config["max_steps"]
    sizes = [now] if "batch_size" in fixed else [now // 8, now // 4, now // 2, now, now * 2]
    often = max(1, int(best.typical("samples")) // 16)
    return [
        {**best.config, "batch_size": size, "max_steps": samples // size, "epoch_size": max(often, size)}
        for size in sizes
        if size >= 1
    ]


def _learning_rates(best: Attempt, fixed: Sequence[str]) -> list[Config]:
    names = [name for name in ("learning_rate", "muon_learning_rate") if name not in fixed]
    if not names:
        return []
    return [{**best.config, **{name: best.config[name] * factor for name in names}} for factor in (0.5, 2.0)]


def together(searches: Sequence[Search]) -> Search:
    """Several searches at once: each batch holds the trials that any of them needs next."""
    waiting = {search: batch for search in searches if (batch := next(search, _NO_TRIALS))}
    while waiting:
        results = yield [config for batch in waiting.values() for config in batch]
        told = iter(results)
        answers = {search: [next(told) for _ in batch] for search, batch in waiting.items()}
        waiting = {}
        for search, answer in answers.items():
            try:
                waiting[search] = search.send(answer)
            except StopIteration:
                continue

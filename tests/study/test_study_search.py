"""The search, asked and told by an oracle that knows what every model can do."""

import time
from collections.abc import Callable
from itertools import product

import pytest

from ahx.errors import InputError
from ahx.study import search
from ahx.study.answer import Answer
from ahx.study.search import Findings
from ahx.study.session import Budget, Session
from ahx.study.trial import Config, Result, key

START: Config = {
    "rule": "double_a", "pos": "auto", "n_layer": 2, "n_head": 4, "n_embd": 48, "batch_size": 32, "max_steps": 500,
    "learning_rate": 0.003, "muon_learning_rate": 0.02, "until_exact": 2000, "epoch_size": 320,
}  # fmt: skip
Oracle = Callable[[Config], bool]


def enough(config: Config) -> bool:
    """One layer with two heads, 8 channels in all; smaller batches need fewer samples."""
    return config["n_layer"] >= 1 and config["n_head"] >= 2 and config["n_embd"] >= 8


def result(config: Config, oracle: Oracle) -> Result:
    if not oracle(config):
        return Result(False, 0.9, config["max_steps"], config["max_steps"] * config["batch_size"], 5.0)
    samples = 40 * config["batch_size"] + config["seed"]
    return Result(True, 1.0, 40, samples, samples / 1000)


def carried_out(session: Session, oracle: Oracle = enough) -> list[Config]:
    """Train all that the session asks for; every trial, in order."""
    trained: list[Config] = []
    while configs := session.ask():
        trained += configs
        session.tell(configs, [result(config, oracle) for config in configs])
    return trained


def session(found: Findings, budget: Budget | None = None, known: dict[str, Result] | None = None) -> Session:
    return Session(search.study(START, range(3), found), known or {}, budget or Budget())


def test_it_finds_the_smallest_model_and_the_fewest_samples() -> None:
    found = Findings("auto")
    carried_out(session(found))
    assert found.smallest is not None
    assert found.smallest.size() == (1, 2, 8)
    assert (found.smallest.exact, len(found.smallest.results)) == (3, 3)
    fewest = found.best("samples")
    assert fewest is not None
    assert (fewest.config["batch_size"], fewest.samples) == (4, [160, 161, 162])
    assert fewest.config["max_steps"] == 4000  # as many samples as 500 batches of 32


def test_no_trial_is_asked_for_twice_and_a_hopeless_size_takes_one_seed() -> None:
    found = Findings("auto")
    trained = carried_out(session(found))
    assert len({key(config) for config in trained}) == len(trained)
    assert [len(one.results) for one in found.not_enough()] == [1] * len(found.not_enough())


def test_a_size_that_fails_with_one_seed_is_not_enough() -> None:
    found = Findings("auto")
    carried_out(session(found), lambda config: enough(config) and not (config["n_embd"] < 16 and config["seed"] == 1))
    assert found.smallest is not None
    assert found.smallest.size() == (1, 2, 16)
    assert (2, 3) in {(one.exact, len(one.results)) for one in found.not_enough()}


def test_the_budget_is_kept_and_a_later_call_goes_on() -> None:
    found = Findings("auto")
    first = session(found, Budget(trials=7))
    trained = carried_out(first)
    assert (len(trained), first.ended) == (7, False)
    later, whole = Findings("auto"), Findings("auto")
    second = session(later, known=first.known)
    rest = carried_out(second)
    assert second.ended
    assert trained + rest == carried_out(session(whole))
    assert later == whole


def test_no_more_is_asked_for_once_the_money_is_spent() -> None:
    one = session(Findings("auto"), Budget.parse("$5"))
    one.tell(configs := one.ask(), [result(config, enough) for config in configs])
    one.usd = 5.0
    assert one.ask() == []


def test_no_more_is_asked_for_than_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    searches = [search.study({**START, "pos": pos}, range(9), Findings(pos)) for pos in ("coupled", "rope")]
    one, asked = Session(search.together(searches), {}, Budget.parse("10s")), list[int]()
    while configs := one.ask():
        asked.append(len(configs))
        now += 0.7 * len(configs)
        one.tell(configs, [result(config, enough) for config in configs])
    assert asked == [3, 11, 1]


def test_what_the_usual_model_does_not_learn_is_not_made_smaller() -> None:
    found = Findings("auto")
    assert len(carried_out(session(found), lambda config: False)) == 3
    assert found.smallest is None
    assert "not learnt exactly within 16,000 samples" in Answer("double_a", [found], "s").sentences()[0]


def test_schemes_are_searched_side_by_side() -> None:
    both = [Findings("coupled"), Findings("rope")]
    searches = [search.study({**START, "pos": found.pos}, range(3), found) for found in both]
    one = Session(search.together(searches), {}, Budget())
    assert {config["pos"] for config in one.ask()} == {"coupled", "rope"}
    carried_out(one, lambda config: enough(config) and config["n_embd"] >= {"coupled": 8, "rope": 24}[config["pos"]])
    assert [found.smallest and found.smallest.size() for found in both] == [(1, 2, 8), (1, 2, 24)]


def test_the_smallest_model_is_confirmed_with_fresh_seeds() -> None:
    found = Findings("auto")
    trained = carried_out(
        Session(search.study(START, range(3), found, fresh=10), {}, Budget()),
        lambda config: enough(config) and (config["seed"] != 7 or config["n_embd"] >= 12),
    )
    fresh = [config for config in trained if config["seed"] > 2]
    assert {(config["n_embd"], config["seed"]) for config in fresh} == set(product((8, 12), range(3, 13)))
    answer = Answer("double_a", [found], "s")
    told = answer.sentences()
    assert "(3 of 3 seeds), and with fresh seeds 9 of 10; 1 layer, 2 heads of 6 channels: 10 of 10" in told[0]
    assert answer.to_json()["schemes"]["auto"]["smallest_confirmed"]["n_embd"] == 12
    assert "37 % of all seeds or more" in told[1]  # 0.05 ** (1 / 3)


@pytest.mark.parametrize("text", ["", "5", "$5m", "-1 trials", "0s", "ten trials"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="200 trials"):
        Budget.parse(text)


def test_a_run_that_ends_at_its_limit_is_not_exact() -> None:
    ended = {"step": 500.0, "val_exact": 1.0}
    assert not Result.of(START, [ended], 1.0, "").exact
    assert Result.of(START, [{**ended, "step": 40.0}], 1.0, "").samples == 40 * 32
    files = {name: value for name, value in START.items() if name not in ("rule", "until_exact")}
    history = [{"step": 10.0 * n, "val_exact": 1.0 if n in (3, 5, 6) else 0.9} for n in range(1, 7)]
    assert Result.of(files, history, 1.0, "").samples == 50 * 32  # from then on it was always right


def test_trials_that_broke_off_are_told() -> None:
    found = Findings("auto")
    one = session(found)
    one.tell(configs := one.ask(), [Result(False, failure="memory ran out") for _ in configs])
    assert one.ask() == []
    told = Answer("double_a", [found], "s").sentences()
    assert "3 trials broke off" in told[-1]
    assert "memory ran out" in told[-1]

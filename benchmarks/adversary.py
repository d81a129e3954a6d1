"""Attacks on a certified interpreter: machines and tapes on which it might err, and damage that must be noticed.

    python benchmarks/adversary.py search [RUN] [--seconds 3600]
    python benchmarks/adversary.py damage [RUN] [--models 40]

`search` looks for a step that the model gets wrong, or nearly: on random machines, on odd ones (one rule, all 32, all
with one action, none that halts), and on machines that are changed again and again where the margin is least: changed
at random, or as the gradient of the margin says (Ebrahimi et al. 2018, arXiv 1712.06751). Tapes have 1 to 120 cells,
rules stand in random order. `damage` changes single weights, rows and columns, more and more until
the model errs on some machine, and asks for a certificate of it: none may be given.
"""

import argparse
import copy
import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ahx.data.programs.program_writer import Runs, Tokens
from ahx.data.programs.turing_machines import Machines, Sizes, draw_machines
from ahx.data.programs.turing_writer import TuringWriter
from ahx.data.token_rows import FlatRows
from ahx.evaluation.trained import Trained, load_trained
from ahx.model.batches import to_batch
from ahx.model.interpreter_certificate import InterpreterChecker
from ahx.model.scoring import score
from ahx.model.transformer import Transformer
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

LENGTHS = ((1, 3), (2, 6), (2, 6), (20, 20), (120, 120))
STRENGTHS = 2.0 ** np.arange(-4, 12)


class Attacker:
    """Makes rows of machines, and asks models for every step in them."""

    def __init__(self, trained: Trained, seed: int) -> None:
        assert isinstance(trained.rule, TuringInterpreter)
        self.rule, self.tokenizer, self.rng = trained.rule, trained.tokenizer, np.random.default_rng(seed)
        self.writer = TuringWriter(trained.rule, trained.tokenizer)
        self.Q, self.S = trained.rule.n_states, trained.rule.n_symbols

    def random(self, n: int, missing: float = 0.6) -> Machines:
        """Machines of all sizes."""
        return draw_machines(self.rng, n, Sizes((2, self.Q), (2, self.S), (0.0, missing)), self.Q, self.S)

    def full(self, n: int) -> Machines:
        """Machines with all states and symbols, and all rules."""
        return draw_machines(self.rng, n, Sizes((self.Q, self.Q), (self.S, self.S), (0.0, 0.0)), self.Q, self.S)

    def odd(self, n: int) -> Machines:
        """Machines with few rules, or with rules that are alike."""
        machines, rng = self.full(n), self.rng
        shape, kind_N = machines.write_NQS.shape, rng.integers(0, 6, n)
        kind_N11 = kind_N[:, None, None]
        one_rule = rng.random(shape).reshape(n, -1).argsort(1).argsort(1).reshape(shape) < rng.integers(1, 4, (n, 1, 1))
        return machines._replace(
            has_rule_NQS=np.where(kind_N11 == 0, one_rule, kind_N11 != 1),
            write_NQS=np.where(kind_N11 == 2, rng.integers(0, self.S, (n, 1, 1)), machines.write_NQS),
            move_NQS=np.where(kind_N11 <= 3, rng.choice([-1, 1], (n, 1, 1)), machines.move_NQS),
            target_NQS=np.where(
                (kind_N11 == 2) | (kind_N11 == 4), rng.integers(0, self.Q + 1, (n, 1, 1)), machines.target_NQS
            ),
        )

    def changed(self, machines: Machines) -> Machines:
        """Machines in which some rules are others."""
        other, shape = self.full(len(machines.n_states_N)), machines.write_NQS.shape
        swap = self.rng.random(shape) < self.rng.choice([0.03, 0.1, 0.3], (shape[0], 1, 1))
        return machines._replace(
            write_NQS=np.where(swap, other.write_NQS, machines.write_NQS),
            move_NQS=np.where(swap, other.move_NQS, machines.move_NQS),
            target_NQS=np.where(swap, other.target_NQS, machines.target_NQS),
            has_rule_NQS=machines.has_rule_NQS ^ (swap & (self.rng.random(shape) < 0.3)),
        )

    def steered(self, model: Transformer, machines: Machines) -> Machines:
        """Machines with other actions, by which the least margin of a run falls most to first order."""
        rows, tokens = self.rows(machines, (2, 6)), self.tokenizer
        batch = to_batch(FlatRows.of(rows), tokens.separator, torch.device("cpu"), restart=tokens.configuration)
        table_VC = model.tokens.table().detach()
        x_BTC = table_VC[batch.tokens_BT].requires_grad_()
        twin = copy.copy(model)  # the same weights; its embeddings have a gradient
        twin.embed = lambda tokens, at, grams=None: x_BTC  # type: ignore[method-assign]
        logits_RV, right_R1 = twin(batch.tokens_BT, batch.scored_R, reference=True), batch.target_R[:, None]
        margin_R = logits_RV.gather(1, right_R1)[:, 0] - logits_RV.scatter(1, right_R1, -torch.inf).amax(1)
        row_R = batch.scored_R // batch.tokens_BT.shape[1]
        least_B = torch.full((len(rows),), torch.inf).scatter_reduce(0, row_R, margin_R, "amin")
        (slope_BTC,) = torch.autograd.grad(least_B.sum(), x_BTC)
        actions, keys = self.writer.action_SMQ.reshape(-1), self.writer.key_QS.reshape(-1)
        change_BTA = slope_BTC @ table_VC[torch.from_numpy(actions)].T - (slope_BTC * x_BTC.detach()).sum(2, True)
        changed = machines._replace(
            **{name: getattr(machines, name).copy() for name in ("write_NQS", "move_NQS", "target_NQS")}
        )
        for b, row in enumerate(rows):
            n = int(machines.has_rule_NQS[b].sum())
            change_nA = change_BTA[b, 2 : 2 * n + 2 : 2].numpy() + self.rng.normal(0, 0.1, (n, len(actions)))
            for at in change_nA.min(1).argsort()[: self.rng.integers(1, 4)]:
                q, s = divmod(int(np.flatnonzero(keys == row[1 + 2 * at])[0]), self.S)
                write, rest = divmod(int(change_nA[at].argmin()), 2 * (self.Q + 1))
                right, target = divmod(rest, self.Q + 1)
                changed.write_NQS[b, q, s], changed.move_NQS[b, q, s] = write, 2 * right - 1
                changed.target_NQS[b, q, s] = target
        return changed

    def rows(self, machines: Machines, lengths: tuple[int, int]) -> list[Tokens]:
        return self.writer.rows(self.rng, machines, Runs(2 if lengths[1] > 20 else 4, 6, lengths))

    def margins(self, model: Transformer, rows: list[Tokens]) -> Any:
        return score(model, rows, self.tokenizer.separator, self.tokenizer.configuration).margin_N

    def steps(self, rows: list[Tokens]) -> int:
        return sum(int((np.asarray(row) == self.tokenizer.stop).sum()) for row in rows)

    def shown(self, row: Tokens) -> str:
        """The program of a row."""
        tokens = [int(token) for token in row]
        return "".join(self.tokenizer.tokens[t].symbol for t in tokens[1 : tokens.index(self.tokenizer.configuration)])


def search(trained: Trained, seconds: float, seed: int) -> int:
    """The number of machines on which the model errs."""
    attacker, model = Attacker(trained, seed), trained.model
    pool = attacker.random(200)
    pool_margin_N = attacker.margins(model, attacker.rows(pool, (2, 6)))
    counts = dict.fromkeys(("random", "odd", "changed", "steered"), 0)
    least = dict.fromkeys(counts, np.inf)
    steps = machines_asked = wrong = 0
    began = told = time.monotonic()
    for lengths in itertools.cycle(LENGTHS):
        n = 200 if lengths[1] <= 20 else 20
        some = attacker.rng.permutation(len(pool_margin_N))[:40]
        kinds = {
            "random": attacker.random(n),
            "odd": attacker.odd(n),
            "changed": attacker.changed(pool),
            "steered": attacker.steered(model, pool.select(some)),
        }
        for kind, machines in kinds.items():
            rows = attacker.rows(machines, lengths)
            margin_N = attacker.margins(model, rows)
            counts[kind] += len(rows)
            steps, machines_asked = steps + attacker.steps(rows), machines_asked + len(rows)
            least[kind] = min(least[kind], float(margin_N.min()))
            for row in np.flatnonzero(margin_N <= 0):
                wrong += 1
                print(f"WRONG by {margin_N[row]:.2f}: {attacker.shown(rows[row])}", flush=True)
            if kind in ("changed", "steered"):  # of each machine and its change the one with the lesser margin stays
                at = some if kind == "steered" else np.arange(len(pool_margin_N))
                better = margin_N < pool_margin_N[at]
                for old, new in zip(pool, machines, strict=True):
                    old[at[better]] = new[better]
                pool_margin_N[at] = np.minimum(margin_N, pool_margin_N[at])
        over = time.monotonic() - began > seconds
        if over or time.monotonic() - told > 60:
            told = time.monotonic()
            margins = ", ".join(f"{kind} {counts[kind]:,} (least margin {least[kind]:.2f})" for kind in counts)
            print(f"{machines_asked:,} machines, {steps:,} steps, {wrong} errors: {margins}", flush=True)
        if over:
            return wrong
    return wrong


def damages(model: Transformer, rng: np.random.Generator) -> Iterator[tuple[str, str, torch.Tensor]]:
    """A weight, what of it is changed, and the change."""
    names = [name for name, weight in model.named_parameters() if weight.dim() == 2]
    while True:
        name, kind = str(rng.choice(names)), str(rng.choice(["weight", "row", "column", "matrix"]))
        change = torch.zeros_like(model.get_parameter(name))
        row, column = (int(rng.integers(size)) for size in change.shape)
        where: tuple[Any, ...] = {
            "weight": (row, column),
            "row": (row, slice(None)),
            "column": (slice(None), column),
            "matrix": (slice(None), slice(None)),
        }[kind]
        noise = torch.from_numpy(rng.standard_normal(tuple(change.shape))).to(change.dtype)
        change[where] = noise[where]
        yield name, kind, change * float(model.get_parameter(name).detach().std())


def some_contexts(checker: InterpreterChecker, rng: np.random.Generator, n: int) -> InterpreterChecker:
    """The same for some of the contexts: what fails there fails."""
    chosen = np.sort(rng.choice(len(checker.first_n) - 1, min(n, len(checker.first_n) - 1), replace=False))
    sizes = np.diff(checker.first_n)[chosen]
    which = np.concatenate([np.arange(checker.first_n[c], checker.first_n[c + 1]) for c in chosen])
    part = copy.copy(checker)
    part.questions = checker.questions.select(which)
    part.first_n = np.append(0, sizes.cumsum())
    return part


def damage(trained: Trained, n_models: int, seed: int) -> int:
    """How many damaged models that err were certified: there must be none."""
    attacker, rng = Attacker(trained, seed), np.random.default_rng(seed)
    checker = InterpreterChecker(attacker.rule, trained.tokenizer)
    part = some_contexts(checker, rng, 4000)
    corpus = [row for n in (40, 40) for row in attacker.rows(attacker.random(n), (2, 6))]
    corpus += attacker.rows(attacker.odd(40), (2, 6)) + attacker.rows(attacker.full(40), (20, 20))
    erring = refused = harmless = 0
    for name, kind, change in damages(trained.model, rng):
        for strength in STRENGTHS:
            damaged = copy.deepcopy(trained.model)
            with torch.no_grad():
                damaged.get_parameter(name).add_(change * float(strength))
            margin_N = attacker.margins(damaged, corpus)
            if margin_N.min() > 0:
                continue
            erring += 1
            sure = part(damaged).complete and checker(damaged).complete
            refused += not sure
            row = int(margin_N.argmin())
            print(
                f"{'CERTIFIED' if sure else 'refused'}: {kind} of {name} by {strength:g} standard deviations; errs in "
                f"{int((margin_N <= 0).sum())} of {len(corpus)} runs, by {-margin_N[row]:.2f} with "
                f"{attacker.shown(corpus[row])[:70]}",
                flush=True,
            )
            break
        else:
            harmless += 1
        if erring == n_models:
            break
    print(f"{refused} of {erring} damaged models that err are refused; {harmless} damages changed no run")
    return erring - refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    for name in ("search", "damage"):
        one = what.add_parser(name)
        one.add_argument("run")
        one.add_argument("--seed", type=int, default=0)
        if name == "search":
            one.add_argument("--seconds", type=float, default=3600)
        else:
            one.add_argument("--models", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(1)
    trained = load_trained(args.run, trusted=None)
    torch.set_num_threads(1)
    if args.what == "search":
        return int(search(trained, args.seconds, args.seed) > 0)
    return int(damage(trained, args.models, args.seed) > 0)


if __name__ == "__main__":
    raise SystemExit(main())

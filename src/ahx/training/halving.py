"""Which runs of a sweep to stop early: asynchronous successive halving.

At 1, eta, eta^2, ... epochs a run continues only if it is among the best 1/eta of those that have reached this
epoch. Later runs are compared with all earlier ones, so no run waits for another.

L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020 (its stopping variant).
"""

from collections.abc import Mapping, Sequence

Evaluation = Mapping[str, float]


def hopeless(histories: Mapping[str, Sequence[Evaluation]], eta: int) -> set[str]:
    """The runs that should stop. `histories` has the evaluations of every run of the sweep, ended ones too, in order.

    A run with every answer right is never stopped, and none before `eta` runs have come as far.
    """
    longest = max((one["epoch"] for history in histories.values() for one in history), default=0.0)
    stopped: set[str] = set()
    rung = 1
    while rung <= longest:
        arrived = {}
        for run, history in histories.items():
            there = next((one for one in history if one["epoch"] >= rung), None)
            if there is not None and run not in stopped:
                arrived[run] = there
        ranked = sorted(arrived, key=lambda run: (-arrived[run]["val_exact"], arrived[run]["val_loss"], run))
        if len(ranked) >= eta:
            behind = ranked[-(-len(ranked) // eta) :]
            stopped |= {run for run in behind if arrived[run]["val_exact"] < 1}
        rung *= eta
    return stopped

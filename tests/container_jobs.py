"""Jobs for the tests of the container: an /opt/ml tree, mounted as a whole into a container of the real image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from opt_ml import failure
from opt_ml import tree as trees
from opt_ml.paths import OptMl

NOTHING: Mapping[str, str] = MappingProxyType({})
SMALL = {
    "max_len": "5", "n_layer": "1", "n_embd": "16", "n_head": "2", "val_samples": "20", "max_steps": "4",
    "epoch_size": "64", "warmup_steps": "1",
}  # fmt: skip
RULE = {**SMALL, "rule": "double_a"}
DATA = "".join(f"{text},{text.replace('A', 'AA')}\n" for text in ("A", "B", "AB", "BA", "BB", "ABA", "BAB"))


@dataclass(frozen=True)
class Ended:
    """What is left of a job."""

    code: int
    failure: str
    log: str
    tree: OptMl

    @property
    def first_line(self) -> str:
        return self.failure.partition("\n")[0]


def data_folder(folder: Path, train: str = DATA) -> Path:
    folder.mkdir()
    (folder / "da_train.txt").write_text(train)
    (folder / "da_val.txt").write_text(DATA)
    return folder


def mounted(tree: OptMl) -> tuple[str, ...]:
    """Options of docker run for a job of one host."""
    return ("--volume", f"{tree.base}:/opt/ml", "--env", "OMP_NUM_THREADS=1", "--network", "none")


def run_job(
    image, folder: Path, hyperparameters: Mapping[str, str] = RULE, channels: Mapping[str, Path] = NOTHING, *,
    prepare: Callable[[OptMl], object] = lambda tree: None, options: tuple[str, ...] = (),
) -> Ended:  # fmt: skip
    """Run a job to its end. `prepare` may spoil its tree before."""
    tree = trees.build(folder, hyperparameters, dict(channels), copy=True)
    prepare(tree)
    done = image.run(options=(*mounted(tree), *options))
    return Ended(done.returncode, failure.read(tree), done.stdout + done.stderr, tree)

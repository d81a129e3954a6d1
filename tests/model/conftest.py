"""A small vocabulary with everything in it, random rows, and models of every position scheme with random weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ahx.data.tokenizer import Tokenizer
from ahx.model import checkpoint
from ahx.model.build import configure
from ahx.model.positions import schemes
from ahx.model.transformer import Transformer
from ahx.rules.transducer import NEXT, SILENT, Step

torch.set_num_threads(1)

MakeModel = Callable[..., Transformer]
MakeRows = Callable[..., list[list[int]]]

#: Position schemes, alone and with mixed kinds of heads.
SCHEMES: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: (name, ()) for name in schemes.SCHEMES},
    "coupled+global": ("coupled", ("scgg", "ccgg")),
    "coupled, heads apart": ("coupled", ("cscg", "gcsc")),
    "rope+sequence": ("rope", ("gsgg", "ssgg")),
    "alibi+sequence": ("alibi", ("ssgg", "sggs")),
    "coupled, n-grams": ("coupled", ()),
    "coupled+global, n-grams": ("coupled", ("scgg", "ccgg")),
    "rope, n-grams": ("rope", ("gsgg", "ssgg")),
    "hard-alibi+sequence": ("hard-alibi", ("sssg", "gsgg")),
}


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Letters A, B, C; steps that write one of them or nothing, move by -2 to 2, in two states; next and stop."""
    steps = [
        Step(symbol, move, state) for symbol in ("A", "B", "C", SILENT) for move in range(-2, 3) for state in ("", "1")
    ]
    return Tokenizer.fit([("ABC", [*steps, Step(NEXT), Step(NEXT, 0, "1")])])


@pytest.fixture(scope="session")
def make_model(tokenizer: Tokenizer) -> MakeModel:
    """A model of a scheme in which every weight is random and large, so that its answers are arbitrary."""

    def make(
        scheme: str = "coupled", *, dtype: torch.dtype = torch.float64, seed: int = 0, block_size: int = 64
    ) -> Transformer:
        pos, heads = SCHEMES[scheme]
        torch.manual_seed(seed)
        config = configure(
            tokenizer, pos=pos, heads=heads, n_layer=2, n_head=4, n_embd=16, block_size=block_size, reads=(-1, 2),
            ngrams=7 * scheme.endswith("n-grams"),
        )  # fmt: skip
        model = Transformer(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.5)
        return model.to(dtype).eval()

    return make


@pytest.fixture(scope="session")
def make_rows(tokenizer: Tokenizer) -> MakeRows:
    """Random rows: an input, then output steps in any order, with several configurations and moves beyond the ends."""

    def make(n: int, seed: int = 0, n_input: int = 8, n_output: int = 16) -> list[list[int]]:
        torch.manual_seed(seed)
        first = len(tokenizer.alphabet) + 3  # the first output token; the last one is drawn like the others
        rows = []
        for _ in range(n):
            letters = torch.randint(3, first, (int(torch.randint(0, n_input + 1, ())),)).tolist()
            steps = torch.randint(first, len(tokenizer), (int(torch.randint(1, n_output + 1, ())),)).tolist()
            rows.append([tokenizer.begin, *letters, tokenizer.separator, *steps])
        return rows

    return make


def pad(rows: list[list[int]]) -> torch.Tensor:
    """Rows as one tensor, with zeros on the right."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


@pytest.fixture(scope="session", name="pad")
def pad_fixture() -> Callable[[list[list[int]]], torch.Tensor]:
    return pad


@pytest.fixture(scope="session")
def training_state() -> dict[str, object]:
    """The kinds of values that training keeps."""
    return {"step": 3, "best": float("inf"), "optimizer": {"mean": torch.arange(5.0), "steps": 3}}


@pytest.fixture
def model(make_model: MakeModel) -> Transformer:
    return make_model("coupled+global", dtype=torch.float32)


@pytest.fixture
def run(tmp_path: Path, model: Transformer, tokenizer: Tokenizer, training_state: dict[str, object]) -> Path:
    """A run with checkpoints of steps 1, 2 and 3."""
    for step in (1, 2, 3):
        with torch.no_grad():
            model.norm.weight.fill_(step)
        checkpoint.save(tmp_path / "checkpoints" / f"step-{step:08d}", model, tokenizer, {"step": step}, training_state)
    return tmp_path

"""The numbers that make a model: its size, its position scheme, and the given features and moves of its tokens."""

from dataclasses import dataclass, field

from ahx.model.positions.coupling import TokenTable
from ahx.model.positions.schemes import SCHEMES, Scheme


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of a model. Two models with equal configurations have the same parameters, in the same order."""

    vocab_size: int
    block_size: int = 64  # the longest row, for schemes with trained positions; the others have no limit
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 48
    dropout: float = 0.0
    pos: str = "learned"  # one of SCHEMES
    heads: tuple[str, ...] = ()  # one letter a head and one word a layer, as in ("sccc", "cccc"); () means all "g"
    window: int = 4  # K of the `s` heads
    offsets: tuple[int, ...] = (0, 1, -1, 2)  # around the cursor: K of the `c` heads is their number
    table: TokenTable | None = None  # needed by `c` and `p` heads
    ngrams: int = 0  # rows in each table of hashed n-grams (see positions/ngrams.py); 0 for no tables
    features: tuple[tuple[int, ...], ...] = ()  # the features of each token; () gives each token one of its own
    # These follow from the others.
    scheme: Scheme = field(init=False, repr=False)
    kinds: frozenset[str] = field(init=False, repr=False)  # of heads
    limit: int | None = field(init=False, repr=False)  # the most tokens of a row; None where the scheme sets no limit

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd ({self.n_embd}) must be a multiple of n_head ({self.n_head})")
        if not self.heads:
            object.__setattr__(self, "heads", ("g" * self.n_head,) * self.n_layer)
        object.__setattr__(self, "scheme", SCHEMES[self.pos])
        object.__setattr__(self, "kinds", frozenset("".join(self.heads)))
        object.__setattr__(self, "limit", self.block_size if self.scheme.trained else None)
        if len(self.heads) != self.n_layer or any(len(word) != self.n_head for word in self.heads):
            raise ValueError(f"heads {'/'.join(self.heads)!r} must be {self.n_layer} words of {self.n_head} letters")
        if odd := self.kinds - set("gscp"):
            raise ValueError(f"{min(odd)!r} is not a kind of head; use the letters g, s, c and p")
        if {"c", "p"} & self.kinds and self.table is None:
            raise ValueError("coupled heads and program heads need a token table")
        if self.ngrams and "c" in self.kinds and not {-1, 0, 1} <= set(self.offsets):
            raise ValueError(f"n-grams need the offsets -1, 0 and 1 (got {self.offsets})")


def neighbours(heads: str) -> list[tuple[str, int, int]]:
    """Neighbouring heads of one kind, whose biases are one parameter: "sccc" -> [("s", 0, 1), ("c", 1, 4)]."""
    begin = [i for i in range(len(heads)) if i == 0 or heads[i] != heads[i - 1]]
    return [(heads[a], a, b) for a, b in zip(begin, [*begin[1:], len(heads)], strict=True)]

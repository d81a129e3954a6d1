"""The configuration of a model for a vocabulary: features, roles and moves of the tokens."""

from ahx.data.tokenizer import BEGIN, CONFIGURATION, PAD, SEPARATOR, Token, Tokenizer
from ahx.model.config import TransformerConfig
from ahx.model.positions.coupling import BOUNDARY, CELL, PROGRAM, START, STEP, TokenTable
from ahx.model.positions.schemes import SCHEMES
from ahx.rules.transducer import NEXT, SILENT, STOP

_BOUNDARIES = {BEGIN, SEPARATOR, NEXT}
_NO_CELLS = {PAD, STOP, SILENT}


def token_table(tokenizer: Tokenizer) -> TokenTable:
    """The role and the move of every token, for the coupled scheme."""
    queue, has_program = tokenizer.start == "queue", tokenizer.has_program

    def role(token: Token) -> int:
        if queue and token.symbol == SEPARATOR:
            return START
        if token.symbol in _BOUNDARIES or (has_program and token.symbol == CONFIGURATION):
            return BOUNDARY
        if has_program and token.move is None and token.symbol != PAD:
            return PROGRAM
        return STEP if token.symbol in _NO_CELLS else CELL

    moves = tuple(token.move or 0 for token in tokenizer.tokens)
    return TokenTable(tuple(map(role, tokenizer.tokens)), moves, tokenizer.start.endswith("right"), queue)


def token_features(tokenizer: Tokenizer) -> tuple[tuple[int, ...], ...]:
    """The features of every token: its symbol, its move (none for input), its state.

    With the rules in the prompt, a symbol such as the head B0 of a Turing machine has a feature for each of its
    characters, and a state has one for each character at its place. A token of a rule with a state has only features of
    that state. Features are numbered in order of first appearance, so equal vocabularies have equal features.
    """
    numbers: dict[tuple[object, ...], int] = {}
    return tuple(
        tuple(
            numbers.setdefault(feature, len(numbers))
            for feature in (*_symbol(token), ("move", token.move), *_state(token, tokenizer.has_program))
        )
        for token in tokenizer.tokens
    )


def _symbol(token: Token) -> list[tuple[object, ...]]:
    if token.move is None and token.state:
        return []
    marks = token.symbol[:1] in ("", "<")
    return [("symbol", part) for part in ([token.symbol] if marks else token.symbol)]


def _state(token: Token, by_place: bool) -> list[tuple[object, ...]]:
    if not by_place or not token.state:
        return [("state", token.state)]
    return [("state", place, character) for place, character in enumerate(token.state)]


def default_heads(n_layer: int, n_head: int, lookups: int = 0, sees_all: bool = False) -> tuple[str, ...]:
    """Head kinds of the coupled scheme: in the first layer one head in four is a sequence head.

    With a program in the prompt, `lookups` of four heads of the later layers are program heads. With `sees_all`, the
    last of several heads of each layer is a global one.
    """
    n_sequence = max(1, n_head // 4) if n_head > 1 else 0
    n_program = -(-n_head * lookups // 4)
    words = ["s" * n_sequence + "c" * (n_head - n_sequence)]
    words += ["c" * (n_head - n_program) + "p" * n_program] * (n_layer - 1)
    return tuple(word[:-1] + "g" if sees_all and n_head > 1 else word for word in words)


def window_offsets(reads: tuple[int, int]) -> tuple[int, ...]:
    """Offsets of the coupled heads around the cursor, nearest first: those that the machine reads, and -1 and +1."""
    low, high = min(reads[0], -1), max(reads[1], 1)
    return tuple(sorted(range(low, high + 1), key=lambda offset: (abs(offset), -offset)))


def configure(
    tokenizer: Tokenizer,
    *,
    pos: str,
    n_layer: int,
    n_head: int,
    n_embd: int,
    block_size: int,
    dropout: float = 0.0,
    heads: tuple[str, ...] = (),
    reads: tuple[int, int] = (0, 0),
    lookups: int = 2,
    sees_all: bool = False,
    offsets: tuple[int, ...] | None = None,
    ngrams: int = 0,
) -> TransformerConfig:
    """The configuration of a model over `tokenizer`'s tokens.

    `reads` are the first and last offset from the cursor that the rule's machine reads, `lookups` of four heads of the
    later layers look rules up in a program; `sees_all` adds heads that see all of the input. `offsets` are those of the
    coupled heads, if not the usual ones.
    """
    coupled = SCHEMES[pos].coupled
    # The window of a queue machine has just the cells that it reads, so that there are few windows to check.
    usual = tuple(range(reads[1] + 1)) if tokenizer.start == "queue" else window_offsets(reads)
    return TransformerConfig(
        vocab_size=len(tokenizer),
        block_size=block_size,
        n_layer=n_layer,
        n_head=n_head,
        n_embd=n_embd,
        dropout=dropout,
        pos=pos,
        heads=heads or (default_heads(n_layer, n_head, lookups * tokenizer.has_program, sees_all) if coupled else ()),
        window=2 if tokenizer.has_program else 4,  # an action and its key stand side by side
        offsets=usual if offsets is None else offsets,
        table=token_table(tokenizer) if coupled else None,
        ngrams=ngrams,
        features=token_features(tokenizer),
    )

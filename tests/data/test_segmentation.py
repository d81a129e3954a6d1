"""Tokens of words and grapheme clusters, and the sketch of inputs."""

from pathlib import Path

import numpy as np
import pytest

from ahx.data.files.reader import Reader
from ahx.data.files.source import open_files
from ahx.data.seen import MOST, Seen
from ahx.data.segmentation import Segmentation
from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError

FAMILY, E_ACUTE = "👨‍👩‍👧", "é"  # one cluster each, of several code points


@pytest.mark.parametrize(
    ("tokens", "lines", "alignment", "first"),
    [
        ("characters,words", ["ab,AH0 B", "b,B", "ba,B AH0"], {"a": 1, "b": 1}, ("ab", "AH0 B")),
        ("words", ["jump  twice,JUMP JUMP", "look,LOOK"], None, ("jump twice", "JUMP JUMP")),
        ("graphemes", [f"{FAMILY}x{E_ACUTE},{E_ACUTE}x{FAMILY}", "x,x", f"{E_ACUTE},{E_ACUTE}"], 1, None),
    ],
)  # fmt: skip
def test_files_of_longer_tokens(
    tmp_path: Path, tokens: str, lines: list[str], alignment: object, first: tuple[str, str] | None
) -> None:
    path = tmp_path / "data.txt"
    path.write_text("".join(f"{line}\n" for line in lines * 20), encoding="utf-8")
    source = open_files(path, reader=Reader(segmentation=Segmentation.of(tokens)))
    pairs = {tuple(line.split(",")) for line in lines} if first is None else {first}
    assert pairs <= set(source.validation(99)) | {source._pair(row) for row in source.train.rows(np.arange(20))}
    read = Tokenizer.from_json(source.tokenizer.to_json())
    assert read.to_json() == source.tokenizer.to_json()
    for text, _ in pairs:
        assert read.spell(read.encode_input(text)) == text
    if alignment == 1:
        assert source.longest_row == 3 + 3 + 3  # begin, 3 clusters, separator, 3 clusters, stop
    elif alignment is not None:
        assert source.teacher.to_json()["lengths"] == alignment
    with pytest.raises(InputError, match=r"is none of those that this model was trained on|is outside the alphabet"):
        read.encode_input("neverseen")


def test_text_is_normalised_only_when_that_is_asked_for() -> None:
    assert Segmentation.of("characters").canonical(" é", "é ") == (" é", "é ")
    assert Segmentation.of("characters", "NFC,strip").canonical(" é", "é ") == ("é", "é")
    for tokens, normalize in (("syllables", ""), ("words,words,words", ""), ("words", "NFX")):
        with pytest.raises(InputError, match="must be"):
            Segmentation.of(tokens, normalize)


def test_a_sketch_knows_few_inputs_exactly_and_estimates_the_share_of_many() -> None:
    few = Seen().add(np.arange(1000, dtype=np.uint64)) | Seen().add(np.arange(500, 2000, dtype=np.uint64))
    assert (few.count, few.known(np.arange(1000, 3000, dtype=np.uint64))) == (2000, (2000, 1000))
    many = Seen.from_bytes(Seen().add(np.arange(10 * MOST, dtype=np.uint64)).to_bytes())
    known, found = many.known(np.arange(5 * MOST, 15 * MOST, dtype=np.uint64))
    assert (len(many.hashes), many.count) == (MOST, pytest.approx(10 * MOST, rel=0.02))
    assert found / known == pytest.approx(0.5, abs=0.02)
    assert Seen().known(np.arange(3, dtype=np.uint64)) == (3, 0)

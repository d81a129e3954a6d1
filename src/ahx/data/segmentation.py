"""How strings are cut into tokens: characters, words between spaces, or grapheme clusters, for either side.

Inside, a string has one code point for each token, so that lengths, alignments and edit distances count tokens. A token
of several characters is there a code point from the planes for private use, U+F0000 and up; `words` says which.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Self

from ahx.errors import InputError

KINDS = ("characters", "words", "graphemes")
FORMS = ("NFC", "NFD", "NFKC", "NFKD", "strip")
MOST_WORDS, _LONGEST_WORD, _MOST_BYTES = 1 << 16, 1000, 2_000_000  # what fits config.json of a model
_FIRST = 0xF0000


class Segmentation:
    """The tokens of inputs (`source`) and outputs (`target`), and the Unicode form that text is brought into.

    `words` are the tokens of several characters that are known, in the order of their code points.
    """

    def __init__(
        self, source: str = "characters", target: str = "characters", normalize: str = "", words: Sequence[str] = ()
    ) -> None:
        self.source, self.target, self.normalize, self.words = source, target, normalize, list(words)
        self._size = sum(len(word.encode("utf-8", "replace")) for word in self.words)
        self.growing = False  # whether unknown words are added, as while a vocabulary is fitted
        self._codes = {word: chr(_FIRST + at) for at, word in enumerate(self.words)}

    @classmethod
    def of(cls, tokens: str, normalize: str = "") -> Self:
        """From what a user writes: "words", "characters,words" for inputs and outputs; "NFC,strip".

        Raises InputError.
        """
        kinds = tokens.split(",")
        if len(kinds) > 2 or not set(kinds) <= set(KINDS):
            raise InputError(
                f"tokens: {tokens!r} must be {', '.join(KINDS)}, or two of them for inputs and outputs, "
                "such as characters,words"
            )
        if unknown := sorted(set(normalize.split(",")) - {*FORMS, ""}):
            raise InputError(f"normalize: {unknown[0]!r} must be one of {', '.join(FORMS)}")
        return cls(kinds[0], kinds[-1], normalize)

    @property
    def changes_nothing(self) -> bool:
        """Whether every string stands for itself."""
        return self.source == self.target == "characters" and not self.normalize

    @property
    def has_words(self) -> bool:
        """Whether a token may have several characters."""
        return (self.source, self.target) != ("characters", "characters")

    def take_words(self, other: "Segmentation | None") -> None:
        """Begin with the words of a model to start from, so that they keep their code points."""
        if other is not None and (other.source, other.target) == (self.source, self.target):
            self.__init__(self.source, self.target, self.normalize, other.words)  # type: ignore[misc]

    def to_json(self) -> dict[str, object]:
        return {"source": self.source, "target": self.target, "normalize": self.normalize, "words": self.words}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["source"], data["target"], data["normalize"], data["words"])

    def canonical(self, text: str, output: str) -> tuple[str, str]:
        """A pair as the model sees it: normalised, with one space between words."""
        return self._canonical(text, self.source), self._canonical(output, self.target)

    def source_symbols(self, text: str) -> str:
        """An input as one code point for each token. Raises InputError for an unknown token of several characters."""
        return self._symbols(text, self.source)

    def target_symbols(self, text: str) -> str:
        """An output as one code point for each token. Raises InputError for an unknown token of several characters."""
        return self._symbols(text, self.target)

    def source_text(self, symbols: str) -> str:
        """The input that `symbols` stand for."""
        return self._text(symbols, self.source)

    def target_text(self, symbols: str) -> str:
        """The output that `symbols` stand for."""
        return self._text(symbols, self.target)

    def shown(self, symbol: str) -> str:
        """One token as text."""
        at = ord(symbol) - _FIRST if len(symbol) == 1 else -1
        return self.words[at] if self.has_words and 0 <= at < len(self.words) else symbol

    def _canonical(self, text: str, kind: str) -> str:
        for form in self.normalize.split(",") if self.normalize else ():
            text = text.strip() if form == "strip" else unicodedata.normalize(form, text)  # type: ignore[arg-type]
        return " ".join(text.split()) if kind == "words" else text

    def target_tokens(self, text: str) -> Sequence[str]:
        """The tokens of an output, whether they are known or not."""
        return self._tokens(text, self.target)

    def _tokens(self, text: str, kind: str) -> Sequence[str]:
        text = self._canonical(text, kind)
        return text.split() if kind == "words" else _graphemes().findall(text) if kind == "graphemes" else text

    def _symbols(self, text: str, kind: str) -> str:
        if not self.has_words:
            return self._canonical(text, kind)
        tokens = self._tokens(text, kind)
        return "".join([token if len(token) == 1 and token < chr(_FIRST) else self._code(token) for token in tokens])

    def _code(self, word: str) -> str:
        code = self._codes.get(word)
        if code is None:
            if not self.growing:
                raise InputError(
                    f"the token {word[:40]!r} is none of those that this model was trained on; use only its tokens"
                )
            self._size += len(word.encode("utf-8", "replace"))
            if len(self.words) == MOST_WORDS or self._size > _MOST_BYTES or len(word) > _LONGEST_WORD:
                raise InputError(
                    f"the tokens are too many or too long for a vocabulary (the newest is {word[:40]!r}): at most "
                    f"{MOST_WORDS:,} of {_LONGEST_WORD:,} characters, and {_MOST_BYTES:,} bytes together; "
                    "use --tokens characters"
                )
            code = self._codes[word] = chr(_FIRST + len(self.words))
            self.words.append(word)
        return code

    def _text(self, symbols: str, kind: str) -> str:
        if not self.has_words:
            return symbols
        return (" " if kind == "words" else "").join(map(self.shown, symbols))


@cache
def _graphemes() -> Any:
    """Extended grapheme clusters (Unicode Standard Annex 29)."""
    import regex  # type: ignore[import-untyped]

    return regex.compile(r"\X")

"""A teacher for pairs as text, where tokens are words or grapheme clusters."""

from collections.abc import Sequence
from typing import Any

from ahx.data.segmentation import Segmentation
from ahx.data.teacher import Teacher
from ahx.rules.transducer import Start, Step


class SegmentedTeacher(Teacher):
    """Cuts texts into tokens for `inner`, which gets strings with one code point for each token."""

    def __init__(self, inner: Teacher, segmentation: Segmentation) -> None:
        self.inner, self._segmentation = inner, segmentation

    @property
    def kind(self) -> str:  # type: ignore[override]  # of the teacher inside
        return self.inner.kind

    @property
    def start(self) -> Start:
        return self.inner.start

    @property
    def reads(self) -> tuple[int, int]:
        return self.inner.reads

    def prompt(self, text: str) -> Sequence[str]:
        return list(self._segmentation.source_symbols(text))

    def steps(self, text: str, output: str) -> list[Step]:
        return self.inner.steps(self._segmentation.source_symbols(text), self._segmentation.target_symbols(output))

    def to_json(self) -> dict[str, Any]:
        return self.inner.to_json()

"""What a study keeps between calls: study.json, with every trial and the last answer; and study.csv."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ahx.errors import InputError
from ahx.safe_files.atomic import atomic_files
from ahx.safe_files.reading import json_of, text_of
from ahx.study.answer import trials_csv
from ahx.study.trial import Config, Result

FILES = ("study.json", "study.csv")


class Record:
    """The trials of a study by their keys, and the exact match by length of its models."""

    def __init__(self, folder: Path, shared: bytes | None = None) -> None:
        """Read what earlier calls have left here and, in `shared`, those of other machines. Raises InputError."""
        self.folder = folder
        self.trials: dict[str, tuple[Config, Result]] = {}
        self.lengths: dict[str, dict[str, float]] = {}
        path = folder / FILES[0]
        for text in (shared, text_of(str(path)) if path.exists() else None):
            if text is not None:
                self._add(text, path)

    def _add(self, text: str | bytes, path: Path) -> None:
        told = json_of(text, str(path))
        try:
            self.lengths |= told["lengths"]
            self.trials |= {key: (one["config"], Result(**one["result"])) for key, one in told["trials"].items()}
        except (LookupError, TypeError, AttributeError):
            raise InputError(f"{path} is not the record of a study; choose another folder with --to") from None

    def known(self, retry_failed: bool) -> dict[str, Result]:
        """The results by key, without those that broke off with an error if these are to be retried."""
        return {key: one for key, (_, one) in self.trials.items() if not (retry_failed and one.failure)}

    def write(self, answer: Mapping[str, Any]) -> None:
        """Write both files, atomically. Raises StorageError."""
        trials = {key: {"config": dict(config), "result": one.to_json()} for key, (config, one) in self.trials.items()}
        whole = {**answer, "lengths": self.lengths, "trials": trials}
        with atomic_files([self.folder / name for name in FILES]) as [as_json, as_csv]:
            as_json.write(json.dumps(whole, indent=1).encode() + b"\n")
            as_csv.write(trials_csv(list(self.trials.values())).encode())

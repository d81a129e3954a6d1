"""Archives: what jobs pack comes out as it was, and nothing else comes out of any other."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hostile_archives import ATTEMPTS, attempt, entry, packed

from ahx.errors import StorageError
from ahx.safe_files.archive import unpack

ROOT = Path(__file__).parents[1]
LEFT = [
    "README.md", "certificate.json", "checkpoints/best.json", "checkpoints/step-00000010/config.json",
    "checkpoints/step-00000010/model.safetensors", "checkpoints/step-00000010/training_state.safetensors",
    "config.json", "curve.jsonl", "evaluation.json", "log.jsonl", "metrics.jsonl", "model.safetensors",
]  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("within", [".", "", "model"])
def test_what_training_leaves_comes_out_as_it_was(tmp_path: Path, form: int, within: str) -> None:
    for number, name in enumerate([*LEFT, "code/inference.py", ".config.json.tmp"]):
        place = tmp_path / "made" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(os.urandom(1000 * number))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz", format=form) as tar:
        tar.add(tmp_path / "made", within)
    unpack(tmp_path / "model.tar.gz", tmp_path / "files")
    made = files(tmp_path / "made")
    assert files(tmp_path / "files" / within) == {name: made[name] for name in LEFT}


def test_a_log_that_shrinks_well_comes_out(tmp_path: Path) -> None:
    lines = "".join(f'{{"step": {n}, "line": "validation 0.25"}}\n' for n in range(100_000)).encode()
    (tmp_path / "output.tar.gz").write_bytes(packed(entry("log.jsonl", lines)))
    unpack(tmp_path / "output.tar.gz", tmp_path / "files")
    assert files(tmp_path / "files") == {"log.jsonl": lines}


def test_hostile_archives_within_little_memory() -> None:
    """In a process of its own, whose memory is bounded; tests/container does the same with the image's Python."""
    command = [sys.executable, str(ROOT / "tests" / "hostile_archives.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("\n| ") == len(ATTEMPTS)


def test_nothing_is_left_of_an_archive_that_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(StorageError, match=r"cannot unpack .*: no space left on device; free some space"):
        unpack_of(packed(entry("config.json")), tmp_path)
    assert os.listdir(tmp_path) == ["model.tar.gz"]
    monkeypatch.undo()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1}))
    assert "of 2 bytes, and the disk has 1 free" in attempt(packed(entry("config.json")), tmp_path)


def unpack_of(content: bytes, folder: Path) -> None:
    (folder / "model.tar.gz").write_bytes(content)
    unpack(folder / "model.tar.gz", folder / "files")

"""The token cache of a data file on disk: written once, then read by row number without loading the file.

A cache entry is a folder `<file>.ahxcache/<recipe>-<content>/`. The recipe is a hash of the teacher and the tokenizer,
the content a hash of the source's bytes. So an entry never changes, and processes that build it at the same time write
the same one. It holds

    tokens.u16    all rows, end to end, little-endian
    offsets.i64   where each row begins, and the total
    meta.json     version, source (size, SHA-256), numbers of rows and tokens, longest row
"""

import json
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ahx.data.files.block import Block, Problems
from ahx.data.files.blocks import Progress
from ahx.data.files.cache_folder import CACHE_VERSION, cache_homes, fingerprint, may_write
from ahx.data.files.content import content_of, identity_of
from ahx.data.files.encode import Encoder, Tokens
from ahx.data.files.reader import Reader
from ahx.data.ragged import Ints
from ahx.data.split import held_out
from ahx.data.teacher import Teacher
from ahx.data.tokenizer import Tokenizer
from ahx.errors import StorageError
from ahx.safe_files.atomic import reason, sync

Part = Literal["all", "train", "validation"]

_TOKENS, _OFFSETS, _META = "tokens.u16", "offsets.i64", "meta.json"
_BUILDING = ".building-"
_ABANDONED_S = 24 * 3600.0
_ROWS_BEFORE_RELEASE = 256  # each maps up to a few hundred KiB around it
_SMALL_BYTES = 64_000_000  # such a cache may stay mapped as a whole


class Lines(NamedTuple):
    """Which lines of a file are meant, and how they are read."""

    reader: Reader
    part: Part

    def select(self, block: Block) -> Block:
        """Those lines of `block`."""
        if self.part == "all":
            return block
        return block.select(held_out(block.hashes, self.reader.share) == (self.part == "validation"))


class TokenCache:
    """The rows of a cache entry, memory-mapped. Resident memory stays bounded however many rows are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.longest = int(json.loads((folder / _META).read_text("utf-8"))["longest"])  # tokens in the longest row
        self._maps: list[mmap.mmap] = []
        self._offsets: Ints = self._map(_OFFSETS, "<i8")
        self._tokens: Tokens = self._map(_TOKENS, "<u2")
        self._read = 0

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @property
    def tokens(self) -> int:
        """The number of tokens in all rows."""
        return len(self._tokens)

    def rows(self, index: Ints) -> list[Tokens]:
        """Copies of the rows with these numbers."""
        spans = zip(self._offsets[index].tolist(), self._offsets[index + 1].tolist(), strict=True)
        rows = [self._tokens[start:end].copy() for start, end in spans]
        self._read += len(rows)
        if self._read >= _ROWS_BEFORE_RELEASE and self._tokens.nbytes + self._offsets.nbytes > _SMALL_BYTES:
            self._release()
        return rows

    def _map(self, name: str, dtype: str) -> npt.NDArray[Any]:
        with open(self.folder / name, "rb") as handle:
            if not os.fstat(handle.fileno()).st_size:
                return np.empty(0, dtype=dtype)
            mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        if hasattr(mmap, "MADV_RANDOM"):
            mapped.madvise(mmap.MADV_RANDOM)  # rows are read in random order, so reading ahead is wasted
        self._maps.append(mapped)
        return np.frombuffer(mapped, dtype=dtype)

    def _release(self) -> None:
        """Unmap the pages read so far: they stay in the system's page cache, but not in this process's memory."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)
        self._read = 0


def open_cache(
    path: str | os.PathLike[str],
    teacher: Teacher,
    tokenizer: Tokenizer,
    part: Part = "all",
    cache_dir: str | os.PathLike[str] | None = None,
    on_progress: Progress = lambda what, done, total: None,
    reader: Reader | None = None,
) -> TokenCache:
    """The cache of `path`, built now unless there is a sound one of the same content.

    `part` keeps only lines whose inputs are, or are not, for validation (see `held_out`). Raises InputError that lists
    all malformed lines and those that cannot be encoded; StorageError when the disk is full or the file is missing.
    """
    source, reader = Path(path), reader or Reader()
    content, share = content_of(source, cache_dir, keep=False), 0.0 if part == "all" else reader.share
    recipe = fingerprint([CACHE_VERSION, teacher.to_json(), tokenizer.to_json(), part, share, reader.recipe(source)])
    homes = cache_homes(source, cache_dir)
    found = _found(homes, recipe, content)
    if found is not None:
        return found
    return _build(source, content, homes, recipe, Lines(reader, part), Encoder(teacher, tokenizer), on_progress)


def _found(homes: list[Path], recipe: str, content: str) -> TokenCache | None:
    for home in homes:
        entry = home / f"{recipe}-{content[:16]}"
        if _is_sound(entry, content):
            with suppress(OSError, ValueError):  # deleted or truncated by another process meanwhile
                return TokenCache(entry)
    return None


def _entries(home: Path, recipe: str) -> list[Path]:
    try:
        return sorted(home.glob(f"{recipe}-*"))
    except OSError:
        return []


def _is_sound(entry: Path, content: str) -> bool:
    """Whether `entry` is complete, and of a source with this `content`."""
    try:
        meta: dict[str, Any] = json.loads((entry / _META).read_text("utf-8"))
        rows, tokens, _ = int(meta["rows"]), int(meta["tokens"]), int(meta["longest"])
        whole = (entry / _TOKENS).stat().st_size == 2 * tokens and (entry / _OFFSETS).stat().st_size == 8 * (rows + 1)
        ends = np.memmap(entry / _OFFSETS, dtype="<i8", mode="r")[[0, -1]].tolist() if whole else []
        return ends == [0, tokens] and meta["source"]["sha256"] == content
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _build(
    source: Path, content: str, homes: list[Path], recipe: str, lines: "Lines", encoder: Encoder, on_progress: Progress
) -> TokenCache:
    before = identity_of(source)
    changed = StorageError(f"{source} changed while it was read; start again once it is complete")
    with _temporary_folder(homes) as folder:
        done = 0

        def on_bytes(data: bytes) -> None:
            nonlocal done
            done += len(data)
            if done > before[0]:  # the file is still being written
                raise changed
            on_progress(f"tokenising {source}", done, before[0])

        rows, tokens, longest = _write(folder, source, lines, encoder, on_bytes)
        if identity_of(source) != before:
            raise changed
        identity = {"size": before[0], "sha256": content}
        meta = {"version": CACHE_VERSION, "rows": rows, "tokens": tokens, "longest": longest, "source": identity}
        with open(folder / _META, "w", encoding="utf-8") as file:
            json.dump(meta, file)
            file.flush()
            os.fsync(file.fileno())
        entry = folder.parent / f"{recipe}-{content[:16]}"
        _move_into_place(folder, entry, content)
        for stale in _entries(folder.parent, recipe):
            if stale != entry:
                shutil.rmtree(stale, ignore_errors=True)
        return TokenCache(entry)


def _write(
    folder: Path, source: Path, lines: "Lines", encoder: Encoder, on_bytes: Callable[[bytes], None]
) -> tuple[int, int, int]:
    """Encode all lines of `source` into `folder`. Returns the numbers of rows and of tokens, and the longest row's."""
    problems, rows, tokens, longest = Problems(source), 0, 0, 0
    with open(folder / _TOKENS, "wb") as token_file, open(folder / _OFFSETS, "wb") as offset_file:
        offset_file.write(np.zeros(1, dtype="<i8").tobytes())
        for block in lines.reader.blocks(source, problems, on_bytes):
            encoded, lengths = encoder.encode(lines.select(block), problems)
            ends = tokens + np.cumsum(lengths)
            token_file.write(encoded.astype("<u2", copy=False).data)
            offset_file.write(ends.astype("<i8", copy=False).data)
            rows, tokens = rows + len(lengths), tokens + len(encoded)
            longest = max(longest, int(lengths.max(initial=0)))
        problems.raise_if_any()
        for file in (token_file, offset_file):
            file.flush()
            os.fsync(file.fileno())
    return rows, tokens, longest


@contextmanager
def _temporary_folder(homes: list[Path]) -> Iterator[Path]:
    """A new folder in the first of `homes` that can be written; deleted afterwards, unless it was moved."""
    failures: list[str] = []
    for home in homes:
        if not may_write(home):
            failures.append(f"{home} (read-only)")
            continue
        try:
            home.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=home))
            break
        except OSError as error:
            failures.append(f"{home} ({reason(error)})")
    else:
        raise StorageError(f"no place to write a cache: {', '.join(failures)}; set XDG_CACHE_HOME to a writable folder")
    try:
        for old in folder.parent.glob(f"{_BUILDING}*"):  # left by processes that were killed
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(old, ignore_errors=True)
        os.chmod(folder, 0o755)
        yield folder
    except OSError as error:
        raise StorageError(
            f"cannot write the cache {folder.parent}: {reason(error)}; "
            "free some space, or set XDG_CACHE_HOME to a folder with room and make this one read-only"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_into_place(folder: Path, entry: Path, content: str) -> None:
    """Rename `folder` to `entry`. If another process was faster, its entry is kept: it is the same."""
    for _ in range(100):
        try:
            os.rename(folder, entry)
        except OSError:
            if not entry.exists():
                raise
            if _is_sound(entry, content):
                return
            with suppress(OSError):  # move a damaged entry aside, unless another process has done so
                aside = tempfile.mkdtemp(prefix=_BUILDING, dir=entry.parent)
                os.rename(entry, Path(aside) / entry.name)
                shutil.rmtree(aside, ignore_errors=True)
        else:
            sync(entry.parent)
            return
    raise StorageError(f"cannot replace the damaged cache {entry}; delete it")

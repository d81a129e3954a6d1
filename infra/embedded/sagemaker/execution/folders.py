"""The contents of a host's folder for an upload: files, empty folders, and links, which must not lead out of it.

Sockets, pipes and devices are left out. Links are resolved by their text, not by the system: in a container the folder
has another path, and nothing outside it may be read.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ahx.safe_files.untrusted import no_link

_MOST_HOPS = 40  # Linux's limit


class UploadError(Exception):
    """A folder cannot be uploaded. The message goes to the job's FailureReason."""


@dataclass(frozen=True)
class Folder:
    """One host's folder at `top`, which is `inside` in a container.

    Reading it raises UploadError if the folder, or one between it and `base`, has become a link.
    """

    top: Path
    inside: Path
    base: Path  # the host's tree, which its program cannot replace

    def entries(self) -> Iterator[tuple[str, Path]]:
        """Every entry with its path in the folder, a folder before its contents, links not followed."""
        self._check()
        yield from self._entries(self.top)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file with its path in the folder; links are followed."""
        self._check()
        yield from self._files(self.top, "", ())

    def _check(self) -> None:
        place = self.top
        while place != self.base:
            if _kind(place) == stat.S_IFLNK:
                raise UploadError(f"{self.inside} is a link, or below one; keep it a folder")
            place = place.parent

    def link(self, link: Path) -> str:
        """The target of a link in an archive of the folder. Raises UploadError if it leads out."""
        self._followed(link)
        text = os.readlink(link)
        return (
            os.path.relpath(self.top.joinpath(*self._parts(link, text)), link.parent) if os.path.isabs(text) else text
        )

    def _entries(self, folder: Path) -> Iterator[tuple[str, Path]]:
        for entry in _listed(folder):
            kind = _kind(entry)
            if kind in (stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK):
                yield entry.relative_to(self.top).as_posix(), entry
            if kind == stat.S_IFDIR:
                yield from self._entries(entry)

    def _files(self, folder: Path, path: str, above: Sequence[Path]) -> Iterator[tuple[str, Path]]:
        for entry in _listed(folder):
            name, file = f"{path}{entry.name}", entry
            if _kind(entry) == stat.S_IFLNK:
                file = self._followed(entry)
                if file in (folder, *above):
                    raise UploadError(f"the link {name} leads to a folder that contains it; remove it")
            if _kind(file) == stat.S_IFREG:
                yield name, file
            elif _kind(file) == stat.S_IFDIR:
                yield from self._files(file, f"{name}/", (*above, folder))

    def _followed(self, link: Path) -> Path:
        """The target of a link, which may not exist."""
        place, ahead, hops = self.top, list(link.relative_to(self.top).parts), 0
        while ahead:
            part = ahead.pop(0)
            if part == "..":
                if place == self.top:
                    raise self._leads_out(link)
                place = place.parent
            elif _kind(place / part) == stat.S_IFLNK:
                hops += 1
                if hops > _MOST_HOPS:
                    raise UploadError(f"the link {link.relative_to(self.top)} leads in a circle; remove it")
                text = os.readlink(place / part)
                if os.path.isabs(text):
                    place, ahead = self.top, [*self._parts(link, text), *ahead]
                else:
                    ahead = [*Path(text).parts, *ahead]
            else:
                place = place / part
        return place

    def _parts(self, link: Path, text: str) -> tuple[str, ...]:
        """The parts of an absolute path relative to the folder."""
        for top in (self.inside, self.top):
            if Path(text).is_relative_to(top):
                return Path(text).relative_to(top).parts
        raise self._leads_out(link)

    def _leads_out(self, link: Path) -> UploadError:
        name = link.relative_to(self.top)
        return UploadError(f"the link {name} leads out of its folder, to {os.readlink(link)}; copy its target instead")


def opened(file: Path) -> BinaryIO:
    """A file to read. SageMaker runs as root, and so reads files whatever their mode."""
    try:
        return open(file, "rb", opener=no_link)
    except PermissionError:
        file.chmod(file.stat().st_mode | stat.S_IRUSR)
        return open(file, "rb", opener=no_link)


def _kind(entry: Path) -> int:
    """The file type; 0 if it is gone."""
    try:
        return stat.S_IFMT(entry.lstat().st_mode)
    except FileNotFoundError:
        return 0


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except PermissionError:
        folder.chmod(folder.stat().st_mode | stat.S_IRWXU)
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []

"""What a folder of a host holds, as it goes to S3: files, empty folders, and links that must not lead out of it.

Sockets, pipes and devices have no contents and are left out. A link is followed by its text, never by the system: for a
program in a container the folder has another name than here, and nothing outside it may be read.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MOST_HOPS = 40  # as Linux allows


class UploadError(Exception):
    """A folder cannot be uploaded as it is: what the job's FailureReason says."""


@dataclass(frozen=True)
class Folder:
    """One host's folder: where it is, and `inside`, where it is for a program in a container.

    What is read of it raises UploadError where the folder itself, or one above it below `base`, has become a link.
    """

    top: Path
    inside: Path
    base: Path  # the host's, in which no program can replace it

    def entries(self) -> Iterator[tuple[str, Path]]:
        """Everything that is there by its path in the folder, folders before what they hold, links as they are."""
        self._check()
        yield from self._entries(self.top)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file by its path in the folder, and where its contents are; links are followed."""
        self._check()
        yield from self._files(self.top, "", ())

    def _check(self) -> None:
        place = self.top
        while place != self.base:
            if _kind(place) == stat.S_IFLNK:
                raise UploadError(f"{self.inside} is a link, or below one; keep it a folder")
            place = place.parent

    def link(self, link: Path) -> str:
        """The text for a link in an archive of the folder. Raises UploadError for one that leads out."""
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
                    raise UploadError(f"the link {name} leads to a folder that it lies in itself; remove it")
            if _kind(file) == stat.S_IFREG:
                yield name, file
            elif _kind(file) == stat.S_IFDIR:
                yield from self._files(file, f"{name}/", (*above, folder))

    def _followed(self, link: Path) -> Path:
        """The place in the folder that a link leads to, be something there or not."""
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
        """The names, from the folder on, of a place that is given from the root on."""
        for top in (self.inside, self.top):
            if Path(text).is_relative_to(top):
                return Path(text).relative_to(top).parts
        raise self._leads_out(link)

    def _leads_out(self, link: Path) -> UploadError:
        name = link.relative_to(self.top)
        return UploadError(f"the link {name} leads out of its folder, to {os.readlink(link)}; copy what it leads to")


def opened(file: Path) -> BinaryIO:
    """A file to read. SageMaker, which is root, reads also what a file's own mode forbids."""
    try:
        return open(file, "rb", opener=_open)
    except PermissionError:
        file.chmod(file.stat().st_mode | stat.S_IRUSR)
        return open(file, "rb", opener=_open)


def _open(name: str, flags: int) -> int:
    """A file that a program puts a link or a pipe in the place of meanwhile is neither followed nor waited for."""
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _kind(entry: Path) -> int:
    """The kind of file, 0 for one that has gone."""
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

"""Hostile archives, and the message for each. Needs nothing but Python and `src`:

    PYTHONPATH=src python tests/hostile_archives.py

prints the table, within 150 MB of memory, and fails where one is accepted or rejected with a traceback.
"""

import gzip
import io
import os
import resource
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ahx.errors import AhxError
from ahx.safe_files.archive import unpack

LIMIT = 150_000_000  # bytes of memory
_BLOCK = 512
_END = bytes(2 * _BLOCK)

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, body: bytes = b"{}", **about: object) -> Entry:
    info = tarfile.TarInfo(name)
    info.size = len(body)
    for key, value in about.items():
        setattr(info, key, value)
    return info, body


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Entry:
    return entry(name, b"", type=kind, linkname=target)


def packed(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=form) as tar:
        for info, body in entries:
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def raw(*parts: bytes) -> bytes:
    return gzip.compress(b"".join(parts) + _END)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, form: int = tarfile.GNU_FORMAT) -> bytes:
    """The block of one header, with a size that need not be true."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(form)


def padded(body: bytes) -> bytes:
    return body + bytes(-len(body) % _BLOCK)


def pax(records: dict[str, str]) -> bytes:
    """An extended header, with its header."""
    lines = b""
    for key, value in records.items():
        rest = f" {key}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length += 1
        lines += str(length).encode() + rest
    return header("pax", len(lines), tarfile.XHDTYPE) + padded(lines)


def zeros(before: bytes, n: int, after: bytes = _END) -> bytes:
    """`before`, `n` bytes of zeros, `after`, compressed without being held."""
    press, out = zlib.compressobj(9, wbits=31), []
    out.append(press.compress(before))
    for _ in range(n // 2**20):
        out.append(press.compress(bytes(2**20)))
    return b"".join(out) + press.compress(after) + press.flush()


def negative(name: str) -> bytes:
    """A header whose size is -512, as GNU tar writes numbers that do not fit."""
    block = bytearray(header(name, 0))
    block[124:136] = b"\xff" * 10 + (2**16 - _BLOCK).to_bytes(2, "big")
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def chain_of_links() -> bytes:
    """Paths of 16 folders of 247 letters each, through links: longer than realpath follows (CVE-2025-4517)."""
    folder, steps, path, entries = "d" * 247, "abcdefghijklmnop", "", []
    for step in steps:
        entries.append(entry(f"{path}{folder}", b"", type=tarfile.DIRTYPE))
        entries.append(link(f"{path}{step}", folder))
        path += f"{folder}/"
    through = "/".join(steps) + "/" + "l" * 254
    entries.append(link(through, "../" * len(steps)))
    entries.append(link("escape", through + "/.."))
    entries.append(entry("escape/config.json", b"written outside"))
    return packed(*entries)


SOUND = packed(entry("config.json"), entry("model.safetensors", os.urandom(5000)))

#: What is wrong with it, how it is made, and a part of what is said.
ATTEMPTS: list[tuple[str, Callable[[], bytes], str]] = [
    ("a chain of long symbolic links", chain_of_links, "not a regular file"),
    ("a symbolic link to a file", lambda: packed(link("config.json", "/etc/passwd")), "not a regular file"),
    ("a symbolic link to a folder", lambda: packed(link("a", "/tmp"), entry("a/config.json")), "not a regular file"),
    ("a hard link", lambda: packed(link("config.json", "../../x", tarfile.LNKTYPE)), "not a regular file"),
    ("a hard link within", lambda: packed(entry("README.md"), link("config.json", "README.md", b"1")), "not a regular"),
    ("a device", lambda: packed(entry("config.json", b"", type=tarfile.CHRTYPE, devmajor=1)), "not a regular file"),
    ("a pipe", lambda: packed(entry("config.json", b"", type=tarfile.FIFOTYPE)), "not a regular file"),
    ("an unknown kind of member", lambda: raw(header("config.json", 0, b"Z")), "not a regular file"),
    ("an absolute name", lambda: packed(entry("/tmp/config.json")), "leads out of its folder"),
    ("a name with ..", lambda: packed(entry("a/../../config.json")), "leads out of its folder"),
    ("an extended name with ..", lambda: raw(pax({"path": "../config.json"}), header("x", 0)), "leads out of"),
    ("a name with a control character", lambda: packed(entry("a\x1b[2J/config.json")), "this project never writes"),
    ("a name that is no UTF-8", lambda: raw(header("a\udcff/config.json", 0)), "this project never writes"),
    (
        "a name with a zero byte",
        lambda: raw(pax({"path": "a\0/config.json"}), header("x", 0)),
        "this project never writes",
    ),
    ("a name of 100 folders", lambda: packed(entry("a/" * 100 + "config.json")), "this project never writes"),
    ("a name of 300 letters", lambda: packed(entry("a" * 300 + "/config.json")), "this project never writes"),
    ("a file twice", lambda: packed(entry("config.json"), entry("./config.json")), "twice"),
    ("a file as a folder", lambda: packed(entry("config.json"), entry("config.json/best.json")), "both as a file"),
    ("a folder as a file", lambda: packed(entry("config.json/x"), entry("config.json")), "twice"),
    ("a file in place of everything", lambda: packed(entry(".")), "twice"),
    ("a file of 8 EB", lambda: raw(header("model.safetensors", 2**63 - 2**30)), "and the disk has"),
    ("a file that is cut off", lambda: raw(header("model.safetensors", 5000), b"x"), "is not a whole archive"),
    ("a gzip bomb", lambda: zeros(header("model.safetensors", 2**27), 2**27), "times as large"),
    ("a gzip bomb under another name", lambda: zeros(header("x", 2**27), 2**27), "times as large"),
    ("a gzip bomb behind the end", lambda: zeros(header("config.json", 0) + _END, 2**27), "times as large"),
    ("50,000 members", lambda: raw(*(header(f"{n}", 0) for n in range(50_000))), "members in"),
    ("a sparse file (GNU)", lambda: raw(header("config.json", 0, b"S")), "sparse"),
    (
        "a sparse file (PAX 1.0)",
        lambda: raw(pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), header("x", 512), b"9" * 512),
        "sparse",
    ),
    ("a sparse file (PAX 0.1)", lambda: raw(pax({"GNU.sparse.map": "0,9999999999"}), header("x", 0)), "sparse"),
    ("a sparse file (PAX 0.0)", lambda: raw(pax({"GNU.sparse.size": "9" * 12}), header("x", 0)), "sparse"),
    ("an extended header of 128 MB", lambda: zeros(header("x", 2**27, b"x"), 2**27), "a header of"),
    ("a global header of 128 MB", lambda: zeros(header("x", 2**27, b"g"), 2**27), "a header of"),
    ("a long name of 128 MB", lambda: zeros(header("x", 2**27, b"L"), 2**27), "a header of"),
    ("5,000 extended headers in a row", lambda: raw(*[pax({"a": "b"})] * 5000), "is not a whole archive"),
    ("a negative size", lambda: raw(negative("config.json")), "a header of"),
    ("a negative extended size", lambda: raw(pax({"size": "-512"}), header("config.json", 0)), "model.tar.gz h"),
    ("truncated", lambda: SOUND[:-1000], "is not a whole archive"),
    ("truncated in its checksum", lambda: SOUND[:-6], "is not a whole archive"),
    ("a wrong checksum", lambda: SOUND[:-8] + b"abcd" + SOUND[-4:], "is not a whole archive"),
    ("no gzip", lambda: b"noise" * 1000, "is not a whole archive"),
    ("no tar", lambda: gzip.compress(b"noise" * 1000), "is not a whole archive"),
    ("noise behind a member", lambda: raw(header("config.json", 0), b"noise" * 1000), "a header that cannot be read"),
    ("nothing", lambda: b"", "is not a whole archive"),
]


def attempt(content: bytes, folder: Path) -> str:
    """What is said about an archive. Nothing may be left of it, in `folder` or outside."""
    (folder / "model.tar.gz").write_bytes(content)
    try:
        unpack(folder / "model.tar.gz", folder / "files")
    except AhxError as error:
        left = [path.name for path in folder.iterdir()]
        assert left == ["model.tar.gz"], left
        return str(error).replace(f"{folder}/", "")
    return ""


def table() -> Iterator[tuple[str, str, bool]]:
    """Every attempt, what was said, and whether that is what should be."""
    for what, make, part in ATTEMPTS:
        with tempfile.TemporaryDirectory() as folder:
            said = attempt(make(), Path(folder))
        yield what, said, part in said and "\n" not in said


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    print(f"Python {sys.version.split()[0]}")
    wrong = 0
    for what, said, right in table():
        wrong += not right
        print(f"| {what} | {said} |" + ("" if right else "  <- WRONG"))
    sys.exit(wrong > 0)

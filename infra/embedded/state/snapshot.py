"""The whole state in one file, which is loaded only if this user has written it.

    ahx-aws snapshot 1\\n
    HMAC-SHA256 of the rest, in hexadecimal\\n
    JSON: of which journal it is the beginning, our own state, and what moto's identifiers come from\\n
    a pickle: moto's state

Loading a pickle can run what it names. The key of the signature therefore lies outside of the folder, with the user's
own state: a folder that came from somebody else, in an archive say, is signed with another key, or not at all.
"""

import hashlib
import hmac
import io
import json
import os
import pickle
import secrets
import stat
from pathlib import Path
from typing import Any

from ahx.errors import StorageError
from infra.embedded.state.pickles import StatePickler, StateUnpickler, moto_state, private_file, restore_moto

_MAGIC = b"ahx-aws snapshot 1\n"
_KEY_BYTES = 32
_TRIES = 5
_MANY = 64

_ERRORS = pickle.PickleError, TypeError, AttributeError, ValueError, LookupError, ImportError, EOFError, RuntimeError


class Impossible(Exception):
    """moto's state cannot be pickled, or not be loaded again."""


def key_of_user() -> bytes:
    """The key that signs this user's snapshots, made when it is first needed. Raises StorageError."""
    try:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        path = Path(base) / "ahx" / "aws-state.key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_suffix(f".{secrets.token_hex(8)}")
            with private_file(draft) as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass  # another server's, made at the same time
            finally:
                draft.unlink()
        seen, key = path.stat(), path.read_bytes()
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"the key that signs kept state cannot be read or made ({error}); set XDG_STATE_HOME to a folder of yours"
        ) from error
    if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077 or len(key) != _KEY_BYTES:
        raise StorageError(
            f"{path}, the key that signs kept state, must be {_KEY_BYTES} bytes that you alone can read; "
            f"run: chmod 600 {path}, or remove it and what it has signed"
        )
    return key


class Snapshot:
    """What one holds, taken at one instant; `write` brings it to the disk later."""

    def __init__(self, head: dict[str, Any], key: bytes, objects: Path) -> None:
        """Takes moto's state, for which nobody may be changing it. Raises Impossible or OSError."""
        for tries in range(_TRIES):
            out = io.BytesIO()
            pickler = StatePickler(out, objects)
            try:
                pickler.dump(moto_state())
                break
            except BaseException as error:
                self.written = [objects / name for name in pickler.written]
                if isinstance(error, RuntimeError) and tries < _TRIES - 1:
                    continue  # reading changes dictionaries too, sometimes
                self.forget()
                if isinstance(error, _ERRORS):
                    raise Impossible(str(error)) from error
                raise
        self.used, self.written = pickler.used, [objects / name for name in pickler.written]
        self._objects, self._moto = objects, out
        body = json.dumps(head).encode() + b"\n" + out.getvalue()
        self._parts = _MAGIC, hmac.new(key, body, hashlib.sha256).hexdigest().encode() + b"\n", body

    def write(self, path: Path) -> None:
        """Bring it and the contents of objects to the disk, as a whole or not at all.

        What it replaces can go then: so it is loaded once. Raises Impossible or OSError.
        """
        draft = path.with_suffix(".draft")
        try:
            self._moto.seek(0)
            try:
                StateUnpickler(self._moto, self._objects, trial=True).load()
            except _ERRORS as error:
                raise Impossible(str(error)) from error
            if len(self.written) > _MANY:
                os.sync()  # one after the other they would take seconds
            else:
                for place in self.written:
                    sync(place)
            with private_file(draft) as file:
                file.writelines(self._parts)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            self.forget()
            raise
        sync(path.parent)

    def forget(self) -> None:
        """Leave no room taken by what was not written as a whole."""
        for place in self.written:
            place.unlink(missing_ok=True)


def load(path: Path, key: bytes) -> tuple[dict[str, Any], bytes]:
    """The head of a snapshot, and moto's part for `restore`. Raises StorageError unless this user has written it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    magic, mac, body = data[: len(_MAGIC)], data[len(_MAGIC) : len(_MAGIC) + 64], data[len(_MAGIC) + 65 :]
    if magic != _MAGIC or not hmac.compare_digest(mac, hmac.new(key, body, hashlib.sha256).hexdigest().encode()):
        raise StorageError(
            f"{path} is damaged, or was not written by you on this machine, and loading it could run what it holds; "
            "choose another folder (docs/embedded-aws.md, State, says how a folder of yours moves to another machine)"
        )
    head, _, moto = body.partition(b"\n")
    told: dict[str, Any] = json.loads(head)
    return told, moto


def restore(path: Path, moto: bytes) -> None:
    """Put moto's part of the snapshot at `path` back. Raises StorageError."""
    try:
        restore_moto(StateUnpickler(io.BytesIO(moto), path.parent / "objects").load())
    except (OSError, *_ERRORS) as error:
        raise StorageError(f"{path} holds no state that can be read ({error}); choose another folder") from error


def sync(path: Path) -> None:
    """Have the disk keep a file, or the entries of a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The whole state in one file, which is loaded only if this user wrote it.

    ahx-aws snapshot 1\\n
    HMAC-SHA256 of the rest, in hexadecimal\\n
    JSON: our own state, and the seed and time of moto's identifiers\\n
    a pickle: moto's state

Loading a pickle can run any code that it names. The signing key therefore lies outside the folder, with the user's own
state: a folder from another user, say in an archive, is signed with another key or not signed.
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
from ahx.safe_files.atomic import sync
from infra.embedded.state.pickles import StatePickler, StateUnpickler, moto_state, private_file, restore_moto

_MAGIC = b"ahx-aws snapshot 1\n"
_KEY_BYTES = 32
_TRIES = 5
_MANY = 64

_ERRORS = pickle.PickleError, TypeError, AttributeError, ValueError, LookupError, ImportError, EOFError, RuntimeError


class Impossible(Exception):
    """moto's state cannot be pickled, or not loaded again."""


def key_of_user() -> bytes:
    """The key that signs this user's snapshots, created at first use. Raises StorageError."""
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
                pass  # another server has just created it
            finally:
                draft.unlink()
        seen, key = path.stat(), path.read_bytes()
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"the key that signs saved state cannot be read or made ({error}); set XDG_STATE_HOME to a folder of yours"
        ) from error
    if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077 or len(key) != _KEY_BYTES:
        raise StorageError(
            f"{path}, the key that signs saved state, must be {_KEY_BYTES} bytes that you alone can read; "
            f"run: chmod 600 {path}, or remove it and what it has signed"
        )
    return key


class Snapshot:
    """The state at one instant; `write` saves it later."""

    def __init__(self, head: dict[str, Any], key: bytes, objects: Path) -> None:
        """Copies moto's state, which must not change meanwhile. Raises Impossible or OSError."""
        for tries in range(_TRIES):
            out = io.BytesIO()
            pickler = StatePickler(out, objects)
            try:
                pickler.dump(moto_state())
                break
            except BaseException as error:
                self.written = [objects / name for name in pickler.written]
                if isinstance(error, RuntimeError) and tries < _TRIES - 1:
                    continue  # a reading request may have changed a dictionary
                self.forget()
                if isinstance(error, _ERRORS):
                    raise Impossible(str(error)) from error
                raise
        self.used, self.written = pickler.used, [objects / name for name in pickler.written]
        self._objects, self._moto = objects, out
        body = json.dumps(head).encode() + b"\n" + out.getvalue()
        self._parts = _MAGIC, hmac.new(key, body, hashlib.sha256).hexdigest().encode() + b"\n", body

    def write(self, path: Path) -> None:
        """Write it and the contents of objects to disk, completely or not.

        It is loaded once first, because its predecessor is then removed. Raises Impossible or OSError.
        """
        draft = path.with_suffix(".draft")
        try:
            self._moto.seek(0)
            try:
                StateUnpickler(self._moto, self._objects, trial=True).load()
            except _ERRORS as error:
                raise Impossible(str(error)) from error
            if len(self.written) > _MANY:
                os.sync()  # single calls would take seconds
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
        """Remove the contents of objects written for this snapshot."""
        for place in self.written:
            place.unlink(missing_ok=True)


def load(path: Path, key: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON part of a snapshot, and moto's part for `restore`. Raises StorageError unless this user wrote it."""
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
    parsed: dict[str, Any] = json.loads(head)
    return parsed, moto


def restore(path: Path, moto: bytes) -> None:
    """Load moto's part of the snapshot at `path`. Raises StorageError."""
    try:
        restore_moto(StateUnpickler(io.BytesIO(moto), path.parent / "objects").load())
    except (OSError, *_ERRORS) as error:
        raise StorageError(f"{path} holds no state that can be read ({error}); choose another folder") from error

"""Reads text, JSON and TOML files of the user, with one sentence about what is wrong with them."""

import json
import os
import tomllib
from typing import Any

from ahx.errors import InputError, StorageError


def text_of(path: str | os.PathLike[str], what: str = "") -> str:
    """The text of a file in UTF-8. Raises StorageError when it cannot be read, InputError when it is not text."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(f"cannot read {what}{path}: {reason}; check the path") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{what}{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except UnicodeEncodeError:  # the locale cannot encode the name
        raise
    except ValueError:  # a NUL in it
        raise InputError(f"{os.fspath(path)!r} is not a file name; check the path") from None


def json_of(text: str | bytes, origin: object) -> Any:
    """The value of a JSON text. Raises InputError that names its origin."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin} is not valid JSON: {_why(error)}; fix it there") from None


def toml_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The table of a TOML file. Raises InputError and StorageError."""
    try:
        return tomllib.loads(text_of(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid TOML: {_why(error)}; fix it there") from None


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    too_long = "limit" in str(error) and "digits" in str(error)
    return "it has a number of thousands of digits" if too_long else str(error)

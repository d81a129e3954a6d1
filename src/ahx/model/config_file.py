"""config.json of a model, and its schema. Its hashes detect damage, but not malice: whoever makes a model writes them.
So every field is validated before it is used.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import SchemaValidator, ValidationError

from ahx.data.segmentation import FORMS, KINDS, MOST_WORDS
from ahx.data.tokenizer import BEGIN, CONFIGURATION, PAD, SEPARATOR
from ahx.errors import CheckpointError
from ahx.model.positions.schemes import SCHEMES
from ahx.rules.transducer import NEXT, STOP
from ahx.safe_files.atomic import atomic_files
from ahx.safe_files.untrusted import MOST_JSON, json_object, sha256

FORMAT = "ahx-transformer 1"
CONFIG = "config.json"

# The schema is written for pydantic-core: importing pydantic takes a tenth of the start of `ahx eval`.
# Limits are those of training (Hyperparameters), or of 16-bit token numbers.
Schema = dict[str, Any]
_STRICT = {"strict": True, "allow_inf_nan": False}


def _whole(least: int, most: int) -> Schema:
    return {"type": "int", "ge": least, "le": most}


def _text(most: int = MOST_JSON, **more: object) -> Schema:
    return {"type": "str", "max_length": most, **more}


def _list(of: Schema, least: int, most: int) -> Schema:
    return {"type": "list", "items_schema": of, "min_length": least, "max_length": most}


def _dict(of: Schema) -> Schema:
    return {"type": "dict", "keys_schema": _text(1000), "values_schema": of}


def _one_of(*words: str) -> Schema:
    return {"type": "literal", "expected": list(words)}


def _or_null(schema: Schema) -> Schema:
    return {"type": "nullable", "schema": schema}


def _fields(fields: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: object) -> Schema:
    entries = {
        name: {"type": "typed-dict-field", "schema": schema, "required": name in fields}
        for name, schema in {**fields, **(optional or {})}.items()
    }
    return {"type": "typed-dict", "fields": entries, "config": _STRICT, "extra_behavior": "forbid", **more}


_MOVE, _LENGTH, _NUMBER, _FLOAT = _whole(-(10**6), 10**6), _whole(0, 10**6), _whole(0, 10**18), {"type": "float"}
_SCALAR = _or_null({"type": "union", "choices": [_text(), {"type": "bool"}, {"type": "int"}, _FLOAT]})

_ARCHITECTURE = _fields(
    {
        "block_size": _whole(1, 10**9),
        "n_layer": _whole(1, 1000),
        "n_head": _whole(1, 1000),
        "n_embd": _whole(1, 65_536),
        "dropout": {"type": "float", "ge": 0, "lt": 1},
        "pos": _one_of(*SCHEMES),
        "heads": _list(_text(1000, pattern="^[gscp]+$"), 1, 1000),
        "window": _whole(1, 10_000),
        "offsets": _list(_MOVE, 1, 10_000),
    },
    {"ngrams": _whole(0, 10**6)},
)
_TOKEN = {"type": "tuple", "items_schema": [_text(1000), _or_null(_MOVE), _text(1000)], "strict": False}
_SEGMENTATION = _fields(
    {
        "source": _one_of(*KINDS),
        "target": _one_of(*KINDS),
        "normalize": _text(1000, pattern=f"^(({'|'.join(FORMS)})(,({'|'.join(FORMS)}))*)?$"),
        "words": _list(_text(1000, min_length=1), 0, MOST_WORDS),
    }
)
_TOKENIZER = _fields(
    {
        "start": _one_of("left", "right", "queue", "program", "program right"),
        "tokens": _list(_TOKEN, 0, 65_536),
    },
    {"segmentation": _SEGMENTATION},
)
_TEACHER = _fields(
    {"kind": _one_of("plain", "machine", "queue", "program", "alignment", "monotone")},
    {
        "rule": _text(),
        "start": _one_of("left", "right"),
        "lengths": _dict(_LENGTH),
        "why": _text(),
        "longest": _whole(1, 100),
        "outputs": _whole(0, 10**7),
        "reads": _list(_whole(-100, 100), 2, 2),
        **dict.fromkeys(("alone", "after", "before"), _dict(_dict({"type": "float", "ge": 0, "le": 1}))),
        "whole": {"type": "bool"},
        "settled": {"type": "float", "ge": 0, "le": 1},
        "falling": {"type": "float", "ge": 0, "le": 1},
    },
)
_HYPERPARAMETERS = _fields(
    {},
    {
        "rule": _or_null(_text()),
        "infile": _or_null(_text()),
        "alphabet": _or_null(_text(min_length=1)),
        "min_len": _or_null(_LENGTH),
        "max_len": _or_null(_LENGTH),
        "batch_size": _or_null(_LENGTH),
        **{name: _or_null(_text()) for name in ("format", "columns", "header", "tokens", "normalize")},
    },
    extra_behavior="allow",
    extras_schema=_SCALAR,
)
_CONFIG = SchemaValidator(
    _fields(
        {"format": _text(), "architecture": _ARCHITECTURE, "tokenizer": _TOKENIZER, "sha256": _dict(_text())},
        {
            "parameters": _NUMBER,
            "step": _NUMBER,
            "version": _text(),
            "torch": _text(),
            "rule": _or_null(_text()),
            "teacher": _TEACHER,
            "hyperparameters": _HYPERPARAMETERS,
            "columns": _list(_text(), 0, 2),
            "calibration": {"type": "float", "ge": 0.01, "le": 100, "allow_inf_nan": False},
            "metrics": _dict({"type": "float", "allow_inf_nan": True}),
        },
        extra_behavior="ignore",
    )
)


def _unfit(config: Mapping[str, Any]) -> str:
    """In what respect valid fields are inconsistent; "" if they are not."""
    of, tokens = config["architecture"], [tuple(token) for token in config["tokenizer"]["tokens"]]
    n_embd, n_layer, n_head, heads, pos = (of[name] for name in ("n_embd", "n_layer", "n_head", "heads", "pos"))
    kinds = set("".join(heads))
    if n_embd % n_head or (SCHEMES[pos].angle and n_embd // n_head % 2):
        even = f", for pos {pos} an even one" if SCHEMES[pos].angle else ""
        return f"n_embd ({n_embd}) is not a multiple of n_head ({n_head}){even}"
    if len(heads) != n_layer or any(len(word) != n_head for word in heads):
        return f"heads are not {n_layer} words (n_layer) of {n_head} letters (n_head)"
    if not SCHEMES[pos].coupled and {"c", "p"} & kinds:
        return f"heads of the kinds c and p need pos coupled (got {pos})"
    if "c" not in kinds and len(of["offsets"]) > 1000:  # otherwise the weights determine their number
        return f"there are {len(of['offsets']):,} offsets and no heads of the kind c"
    if of.get("ngrams") and "c" in kinds and not {-1, 0, 1} <= set(of["offsets"]):
        return "n-grams need the offsets -1, 0 and 1"
    if len(set(tokens)) < len(tokens):
        return "a token of the tokenizer stands there twice"
    if tokens[:3] != [(mark, None, "") for mark in (PAD, BEGIN, SEPARATOR)]:
        return f"the first tokens are not {PAD}, {BEGIN} and {SEPARATOR}"
    words = config["tokenizer"].get("segmentation", {}).get("words", ())
    if len(set(words)) < len(words):
        return "a word of the tokenizer stands there twice"
    has_program = config["tokenizer"]["start"].startswith("program")
    is_machine = has_program or config["tokenizer"]["start"] == "queue"
    if of.get("ngrams") and is_machine:
        return "there are n-grams, and a machine reads its tokens one by one"
    if words and is_machine:
        return "there are words, and a machine's tokens are characters"
    needed = [(NEXT, 0, ""), (CONFIGURATION, None, "")] if has_program else [(STOP, 0, "")]
    return "".join(f"there is no token {token[0]}" for token in needed if token not in tokens)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model folder. Raises CheckpointError if it is missing or not from this project."""
    path = folder / CONFIG
    try:
        config = json_object(path)
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} is not a model: it has no {CONFIG}; name the folder that ahx train wrote"
        ) from None
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({reason(error)}); use another checkpoint") from error
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} was not written by this project (its format is not {FORMAT!r}); name a folder that ahx train wrote"
        )
    hashes = config.get("sha256")
    if not isinstance(hashes, dict) or hashes.get(CONFIG) != digest(config):
        raise CheckpointError(f"{path} was changed (its SHA-256 differs); use another checkpoint")
    try:
        _CONFIG.validate_python(config)
        fault = _unfit(config)
    except ValidationError as error:
        fault = first_fault(error)
    if fault:
        raise CheckpointError(f"{path} does not describe a model ({fault}); use another checkpoint")
    return config


def add_to_config(folder: Path, **values: object) -> None:
    """Replace fields of a model's config.json. Raises CheckpointError, and StorageError where it cannot be written."""
    config = read_config(folder) | values
    config["sha256"][CONFIG] = digest(config)
    with atomic_files([folder / CONFIG]) as [file]:
        file.write((json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode())


def first_fault(error: ValidationError) -> str:
    """What is wrong, and where: "architecture.n_layer: it should be a valid integer, not 'x'"."""
    one = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in one["loc"])
    why = one["msg"].removeprefix("Value error, ").replace("Input should", "it should", 1)
    shown = "" if one["type"] in ("value_error", "missing") else f", not {ascii(one['input'])[:60]}"
    return f"{where[:100]!a}: {why[:200]}{shown}"


def check(folder: Path, config: Mapping[str, Any], name: str) -> None:
    """Compare a file with the hash that config.json has of it. Raises CheckpointError."""
    try:
        found = sha256(folder / name)
    except OSError as error:
        raise CheckpointError(f"{folder / name} cannot be read ({reason(error)}); use another checkpoint") from error
    if found != config["sha256"].get(name):
        raise CheckpointError(
            f"{folder / name} is truncated or was changed (its SHA-256 differs); use another checkpoint"
        )


def digest(config: Mapping[str, Any]) -> str:
    """The SHA-256 of a configuration without its hashes, however its text is laid out."""
    plain = json.dumps({k: v for k, v in config.items() if k != "sha256"}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def reason(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)

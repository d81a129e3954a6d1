"""From text to a rule: finds the family of a text, and parses it with that family.

The text is the name of a preset, a rule, `@file`, the path of a file, or `module:function`; see docs/rules.md. Only a
user may name files and functions: a rule that a model names is read by `rule_of_a_model`, which opens and runs nothing.
"""

import os
import re

from ahx.errors import InputError
from ahx.rules.families import FAMILIES
from ahx.rules.families.python_function import PythonFunction, Trust
from ahx.rules.families.substitution import Substitution
from ahx.rules.families.turing import TuringMachine
from ahx.rules.families.turing_table import LIKE_A_TABLE
from ahx.rules.interpreters import read_interpreter
from ahx.rules.language import Source
from ahx.rules.presets import presets
from ahx.rules.rule import Rule
from ahx.safe_files.reading import text_of
from ahx.text.suggest import did_you_mean

_READERS = FAMILIES | {"interpreter": read_interpreter}
_SHOWN = 80  # characters of a long name that an error shows
_INTERPRETER = re.compile(r"\s*(?:([a-z]+)[-_]interpreter\b|interpreter\s*:\s*(\w*))")
_NAME = re.compile(r"\s*([A-Za-z_](?:\w|-(?!>))*)\s*(?=[;,\n]|$)")
_FUNCTION = re.compile(r"\s*([A-Za-z_][\w.]*):[A-Za-z_]\w*\s*(?=[;,\n]|$)")
_FAMILY = re.compile(r"\s*([A-Za-z_]\w*)\s*:\s*")
_COMMENT = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?:^|(?<=\s))\#[^\n]*""", re.MULTILINE)
#: A side of an entry is missing where a comment begins.
_SYMBOL_OR_COMMENT = re.compile(r"->\.?[^\S\n]*\#|^\s*\#(?=[^\S\n]*->)", re.MULTILINE)


def parse_rule(spec: str) -> Rule:
    """The rule that `spec` describes, which the user has written: it may name files and functions.

    Raises InputError for a text that is not a rule, with a caret under the offending character; StorageError for a file
    that cannot be read.

    >>> parse_rule("A -> AA, B -> ").apply("ABA")
    'AAAA'
    """
    text = spec.strip()
    if not text:
        raise InputError("the rule is empty; name a preset such as double_a, or write a rule such as 'A -> AA'")
    if text.startswith("@"):
        return _parse(_read_file(text[1:]), _trust_all)
    if "->" not in text and "\n" not in text and _preset_text(text) is None and os.path.isfile(text):
        return _parse(_read_file(text), _trust_all)
    return _parse(text, _trust_all)


def rule_of_a_model(spec: str, trusted: str | None) -> Rule:
    """The rule that an untrusted model names: no file is opened, and nothing is imported.

    A Python function is imported only if `trusted`, the text of a rule that the user typed, names the same one.
    Raises InputError.
    """
    typed = _FUNCTION.match(trusted or "")

    def trust(name: str) -> None:
        if typed is None or typed[0].strip() != name:
            raise InputError(
                f"the model names the Python function {name} as its rule, and what a model names is not run unasked; "
                f"add --trust-rule {name} if you know it, and trust whoever made the model"
            )

    return _parse(spec.strip(), trust)


def _trust_all(name: str) -> None:
    """The user typed the name, or the name of the file that contains it."""


def interpreter_kind(spec: str | None) -> str | None:
    """The kind of an interpreter (turing, substitution, markov) from its text; None for the text of any other rule."""
    found = _INTERPRETER.match(spec or "")
    return None if found is None else found[1] or found[2]


def _read_file(path: str) -> str:
    text = text_of(path, "the rule file ")
    if found := _SYMBOL_OR_COMMENT.search(text):
        Source(text, len(text)).fail(
            found.end() - 1, '# begins a comment; for the symbol write "#", for an empty side "" before the comment'
        )
    # Comments become spaces, so that an error still points at the right column.
    text = _COMMENT.sub(lambda found: found[1] or " " * len(found[0]), text)
    if not text.strip():
        raise InputError(f"the rule file {path!r} holds no rule; write one such as A -> AA into it")
    return text.rstrip()


def _preset_text(text: str) -> str | None:
    """`text` with the name of a preset in front replaced by the preset's own text; None when there is none."""
    name = _NAME.match(text)
    preset = presets().get(name[1].replace("-", "_")) if name else None  # turing-interpreter is turing_interpreter
    if name is None or preset is None:
        return None
    rest = text[name.end() :].lstrip(";, \t\n")
    return f"{preset.text}; {rest}" if rest else preset.text


def _parse(text: str, trust: Trust) -> Rule:
    text = _preset_text(text) or text
    if (function := _FUNCTION.match(text)) and function[1] not in _READERS:
        return PythonFunction.read(Source(text), trust)
    if family := _FAMILY.match(text):
        if family[1] not in _READERS:
            known = "the families are " + ", ".join(_READERS)
            hint = did_you_mean(family[1][:_SHOWN], _READERS, otherwise=known)
            Source(text, len(text)).fail(family.start(1), f"there is no family {family[1][:_SHOWN]!r}{hint}")
        return _READERS[family[1]](Source(text, family.end()))
    source = Source(text)
    if source.entries:
        return Substitution.read(source)
    at = source.words[0].at if source.words else 0
    if source.words and LIKE_A_TABLE.match(source.words[0].text):
        return TuringMachine.read(source)
    if name := _NAME.match(text):
        hint = did_you_mean(name[1][:_SHOWN], presets(), otherwise="`ahx rules` lists the presets")
        source.fail(at, f"there is no preset or file {name[1][:_SHOWN]!r}{hint}")
    if len(source.words) == 1 and re.search(r"[./\\]", text):
        source.fail(at, "there is no such file; check the path")
    return source.fail(at, "expected a preset such as double_a, a rule such as A -> AA, a file, or module:function")

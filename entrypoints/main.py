"""Train transformers from scratch to rewrite strings, and use them.

Each verb of `ahx VERB ...` is one module of entrypoints/verbs, imported when it is called. Its module has a docstring
whose first line is its help, EXAMPLES to show, `configure(parser)` and `run(args) -> exit code`.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from importlib.metadata import version
from types import ModuleType

from ahx.errors import AhxError, InputError
from ahx.system_errors import mishap
from ahx.text.printing import guarded
from ahx.text.suggest import did_you_mean
from entrypoints.shared.arguments import Parser

VERBS = (
    "rules",
    "gen-data",
    "train",
    "eval",
    "interactive",
    "verify",
    "exec",
    "interpret",
    "sweep",
    "run-local",
    "launch",
    "jobs",
    "infra",
    "push",
    "aws",
)
#: Those whose output is worth keeping: docs/logs.md.
LOGGED = ("train", "eval", "run-local", "sweep", "launch")

EXAMPLES = [
    "ahx rules apply 'A -> AA' ABA",
    "ahx train --rule double_a --model_out runs/demo",
    "ahx eval --model runs/demo --rule double_a",
]

_INTERRUPTED, _BROKEN_PIPE = 130, 141  # 128 + the number of the signal, as shells count


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, `argv` without the program's name. Returns the exit code; never raises, never exits."""
    words = [_typed(word) for word in (sys.argv[1:] if argv is None else argv)]
    _standard_streams()
    with guarded():
        try:
            recording = _recording(words)
        except AhxError as error:
            return _fail(str(error), error.exit_code)
        with recording:
            return _sentences(words)


def _recording(words: list[str]) -> AbstractContextManager[object]:
    """What keeps the lines that a long command prints, where AHX_LOG_GROUP or AHX_LOG_FILE ask for it."""
    if not words or words[0].replace("_", "-") not in LOGGED or not {"AHX_LOG_GROUP", "AHX_LOG_FILE"} & set(os.environ):
        return nullcontext()
    from run_logs.run_log import open_log

    return open_log(os.environ, words[0])


def _sentences(words: list[str]) -> int:
    try:
        code = _run(words)
        sys.stdout.flush()  # so that a reader that has gone away, or a full disk, is noticed here
        return code
    except AhxError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    except BrokenPipeError:  # `ahx rules | head`: the reader has enough
        _drop_output()
        return _BROKEN_PIPE
    except Exception as error:
        sentence = mishap(error)
        return _bug() if sentence is None else _fail(sentence, 1)


def verb_module(verb: str) -> ModuleType:
    """The module that implements `verb`."""
    return import_module(f"entrypoints.verbs.{verb.replace('-', '_')}")


def verb_parser(verb: str) -> Parser:
    """The parser of `verb`, with everything that `ahx VERB --help` shows."""
    module = verb_module(verb)
    summary = (module.__doc__ or "").strip().splitlines()[0]
    parser = Parser(prog=f"ahx {verb}", description=summary, epilog=_examples(module.EXAMPLES))
    module.configure(parser)
    return parser


def program_help() -> str:
    """What `ahx --help` prints."""
    width = max(len(verb) for verb in VERBS)
    summaries = [(verb_module(verb).__doc__ or "").strip().splitlines()[0] for verb in VERBS]
    verbs = "\n".join(f"  {verb:{width}}  {text}" for verb, text in zip(VERBS, summaries, strict=True))
    return (
        f"usage: ahx VERB [options]\n\n{(__doc__ or '').splitlines()[0]}\n\nverbs:\n{verbs}\n\n"
        "options:\n  -h, --help  show this help and exit\n  --version   show the version and exit\n\n"
        f"{_examples(EXAMPLES)}\n\nA verb without options shows its examples; `ahx VERB --help` lists its options.\n"
    )


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(program_help(), end="")
        return 0
    if argv[0] == "--version":
        print(f"ahx {version('ahx-transformer')}")
        return 0
    for word in argv:
        if any("\ud800" <= symbol <= "\udfff" for symbol in word):  # what Python makes of bytes that are no text
            raise InputError(f"{word!r} is not UTF-8 text; type it on a terminal that is set to UTF-8")
    verb = argv[0].replace("_", "-")
    if verb not in VERBS:
        kind = "option" if verb.startswith("-") else "verb"
        raise InputError(f"unknown {kind} {argv[0]!r}{did_you_mean(verb, VERBS, 'the verbs are ' + ', '.join(VERBS))}")
    parser = verb_parser(verb)
    if _asks_for_usage(verb, argv[1:]):
        print(_short_help(parser), end="")
        return 0
    try:
        args = parser.parse_args(argv[1:])
    except SystemExit as stop:  # argparse's --help
        return int(stop.code or 0)
    os.getcwd()  # raises where the current folder is gone: torch's libraries would end the process without a word
    code: int = verb_module(verb).run(args)
    return code


def _typed(word: str) -> str:
    """A word as it was typed, in UTF-8, also where the locale knows ASCII only and Python made surrogates of it."""
    try:
        return os.fsencode(word).decode("utf-8")
    except UnicodeError:
        return word


def _asks_for_usage(verb: str, options: list[str]) -> bool:
    """A verb alone is a question, but for `rules`, which lists, `aws`, which serves, and `train` set up by SM_HP_*."""
    set_up = verb == "train" and any(variable.startswith("SM_HP_") for variable in os.environ)
    return not options and verb not in ("rules", "aws") and not set_up


def _short_help(parser: Parser) -> str:
    hint = f"`{parser.prog} --help` lists all options."
    return f"{parser.format_usage()}\n{parser.description}\n\n{parser.epilog}\n\n{hint}\n"


def _examples(lines: Sequence[str]) -> str:
    return "examples:\n" + "\n".join(f"  {line}" for line in lines)


def _standard_streams() -> None:
    """Something to read from and write to, whatever the starter has closed; a terminal that lacks a symbol, or a
    locale without it, must not end a run."""
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # it may well get the number
            if nowhere != number:
                os.dup2(nowhere, number)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _fail(sentence: str, code: int) -> int:
    with suppress(OSError):  # nobody reads it
        print(f"ahx: error: {sentence}", file=sys.stderr, flush=True)
    _drop_output()
    return code


def _drop_output() -> None:
    """Send what can no longer be printed nowhere, or Python would complain again about it when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug() -> int:
    with suppress(OSError):
        traceback.print_exc()
    return _fail("this is a bug in ahx, not in what you typed; please report it with the lines above", 1)


if __name__ == "__main__":
    sys.exit(main())

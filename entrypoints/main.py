"""Train transformers from scratch to rewrite strings, and use them.

Each verb of `ahx VERB ...` is one module of entrypoints/verbs, imported when it is called. A verb's module has

    a docstring              its first line is the verb's summary in help
    EXAMPLES                 command lines that help shows; tests run them
    configure(parser)        adds its options
    run(args) -> exit code
    LOGGED = True            optional: what it prints may be kept in a log (docs/logs.md)
    runs_without_options()   optional: whether the verb alone runs; without this function it prints its usage
"""

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from importlib import import_module
from importlib.metadata import version
from types import ModuleType

from ahx.errors import AhxError, InputError
from ahx.system_errors import mishap
from ahx.text.printing import guarded
from ahx.text.suggest import did_you_mean
from entrypoints import verbs
from entrypoints.shared.arguments import Parser

#: The modules of entrypoints/verbs, by name.
VERBS = tuple(
    sorted(
        file[:-3].replace("_", "-") for file in os.listdir(verbs.__path__[0]) if file[0] != "_" and file[-3:] == ".py"
    )
)

EXAMPLES = [
    "ahx rules apply 'A -> AA' ABA",
    "ahx train --rule double_a --model-out runs/demo",
    "ahx eval --model runs/demo --rule double_a",
]

_INTERRUPTED, _BROKEN_PIPE = 130, 141  # 128 + the number of the signal, as shells count

#: What docs/cli.md says of them.
EXIT_CODES = {
    "0": "Done. An evaluation is done whatever it finds, unless `--require-exact` asks for more; the servers `aws` and "
    "`play` are done when they are stopped.",
    "1": "It failed, for a reason that is printed (a file, a service, the disk), or the answer is no: `exec --check`, "
    "`interpret` and `verify` found the model wrong, `eval --require-exact` a sample, `infra doctor` a problem; jobs "
    "of a sweep have failed; `interactive` could not answer a line.",
    "2": "What was typed, or written into a file, is wrong; nothing was begun. Also: `infra plan` found changes.",
    "130, 143": "Stopped by Ctrl-C or SIGTERM (128 and the signal's number). Training has kept a checkpoint.",
    "141": "The reader of the output had closed it, as `head` does.",
    "others": "`run-local` has the code of the job, `aws --run` that of the command.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, `argv` without the program's name. Returns the exit code; never raises, never exits."""
    words = [_typed(word) for word in (sys.argv[1:] if argv is None else argv)]
    _standard_streams()
    with guarded():
        return _sentences(partial(_logged, words))


def _logged(words: list[str]) -> int:
    with _log(words):
        return _sentences(partial(_run, words))


def _log(words: list[str]) -> AbstractContextManager[object]:
    """What keeps the lines that a long command prints, where AHX_LOG_GROUP or AHX_LOG_FILE ask for it."""
    verb = words[0].replace("_", "-") if words else ""
    if verb not in VERBS or not {"AHX_LOG_GROUP", "AHX_LOG_FILE"} & set(os.environ):
        return nullcontext()
    if not getattr(verb_module(verb), "LOGGED", False):
        return nullcontext()
    from run_logs.run_log import open_log

    return open_log(os.environ, verb)


def _sentences(action: Callable[[], int]) -> int:
    """The exit code of `action`; where it fails, after one sentence that says why."""
    try:
        code = action()
        sys.stdout.flush()  # so that a closed pipe or a full disk is noticed here
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


def summary(verb: str) -> str:
    """One line about `verb`."""
    return (verb_module(verb).__doc__ or "").splitlines()[0]


def verb_parser(verb: str) -> Parser:
    """The parser of `verb`, with everything that `ahx VERB --help` shows."""
    module = verb_module(verb)
    parser = Parser(prog=f"ahx {verb}", description=summary(verb), epilog=_examples(module.EXAMPLES))
    module.configure(parser)
    return parser


def program_help() -> str:
    """What `ahx --help` prints."""
    width = max(len(verb) for verb in VERBS)
    lines = "\n".join(f"  {verb:{width}}  {summary(verb)}" for verb in VERBS)
    return (
        f"usage: ahx VERB [options]\n\n{(__doc__ or '').splitlines()[0]}\n\nverbs:\n{lines}\n\n"
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
        if any("\ud800" <= symbol <= "\udfff" for symbol in word):  # how Python represents bytes that are not text
            raise InputError(f"{word!r} is not UTF-8 text; type it on a terminal that is set to UTF-8")
    verb = argv[0].replace("_", "-")
    if verb not in VERBS:
        kind = "option" if verb.startswith("-") else "verb"
        raise InputError(f"unknown {kind} {argv[0]!r}{did_you_mean(verb, VERBS, 'the verbs are ' + ', '.join(VERBS))}")
    module, parser = verb_module(verb), verb_parser(verb)
    if not argv[1:] and not getattr(module, "runs_without_options", bool)():
        print(_short_help(parser), end="")
        return 0
    try:
        args = parser.parse_args(argv[1:])
    except SystemExit as stop:  # argparse's --help
        return int(stop.code or 0)
    os.getcwd()  # raises where the current folder is gone: torch's libraries would end the process without a message
    code: int = module.run(args)
    return code


def _typed(word: str) -> str:
    """A word as it was typed, in UTF-8, also where the locale knows ASCII only and Python made surrogates of it."""
    try:
        return os.fsencode(word).decode("utf-8")
    except UnicodeError:
        return word


def _short_help(parser: Parser) -> str:
    hint = f"`{parser.prog} --help` lists all options."
    return f"{parser.format_usage()}\n{parser.description}\n\n{parser.epilog}\n\n{hint}\n"


def _examples(lines: Sequence[str]) -> str:
    return "examples:\n" + "\n".join(f"  {line}" for line in lines)


def _standard_streams() -> None:
    """Open what the starter has closed, and escape symbols that the terminal or the locale lacks."""
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # it may have got the number
            if nowhere != number:
                os.dup2(nowhere, number)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _fail(sentence: str, code: int) -> int:
    with suppress(OSError):  # standard error may be closed
        print(f"ahx: error: {sentence}", file=sys.stderr, flush=True)
    _drop_output()
    return code


def _drop_output() -> None:
    """Discard what can no longer be printed, or Python would complain again when it exits."""
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

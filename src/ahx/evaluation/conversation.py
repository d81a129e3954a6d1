"""Two ways to use a model interactively: a conversation on a terminal, and a pipe that gets only the answers."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ahx.errors import InputError
from ahx.evaluation.render import describe
from ahx.evaluation.report import first_difference
from ahx.evaluation.rewriter import Rewriter, Rewriting, usual_beam
from ahx.text.printing import data, printable, raw

_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"
_HISTORY_LINES = 1000
_MOST_ANSWERS = 100


def answer_lines(rewriter: Rewriter, lines: Iterable[str]) -> int:
    """Print the answer to each line; errors go to stderr. Returns 1 if there were any, else 0."""
    code = 0
    for number, line in enumerate(lines, 1):
        text = line.removesuffix("\n").removesuffix("\r")
        if number == 1:
            text = text.removeprefix("\ufeff")
        try:
            data(rewriter(text).output, flush=True)
        except InputError as error:
            print(f"ahx: error: line {number:,}: {error}", file=sys.stderr, flush=True)
            code = 1
    return code


def converse(rewriter: Rewriter) -> int:
    """Ask for strings until Ctrl-D or `quit`, and answer them. Returns the exit code, 0."""
    history = _History()
    trained = rewriter.trained
    unknown = (
        f"learnt a rule that is not read here: {str(trained.lost).partition(chr(10))[0]}"
        if trained.lost
        else "was trained on a file"
    )
    known = f"learnt {trained.rule.spec!r}" if trained.rule else unknown
    leave = "Ctrl-D" if _is_input(rewriter, "quit") else "quit or Ctrl-D"
    print(f"{trained.folder} {known}. Type a string over {trained.tokenizer.alphabet!r}; {leave} to leave; :help")
    several = False  # whether several answers, or a probability, were asked for
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    while True:
        try:
            text = input("> ")
            if text == "quit" and not _is_input(rewriter, text):
                break
            if text.startswith(":") and not _is_input(rewriter, text):
                several = _command(rewriter, text) or several
            elif text:
                rewriting = rewriter(text)
                print(marked(rewriting, colour), file=raw(sys.stdout))
                for answer in rewriting.best if several else ():
                    print(f"{answer.probability:9.2%}  {printable(answer.text)}", file=raw(sys.stdout))
        except InputError as error:
            print(error)
        except KeyboardInterrupt:  # ends the line, or the answer, not the conversation
            print()
        except EOFError:
            print()
            break
    history.save()
    return 0


def _command(rewriter: Rewriter, text: str) -> bool:
    """Obey `:n` or explain; whether answers are to be listed from now on. Raises InputError."""
    name, _, value = text.partition(" ")
    if name == ":n" and value.strip().isdecimal() and 0 < int(value) <= _MOST_ANSWERS:
        rewriter.n_best = int(value)
        rewriter.beam = usual_beam(rewriter.n_best)
        return True
    if name == ":help":
        print(f":n N   list the N most probable answers, 1 to {_MOST_ANSWERS}, by beam search\n:help  this list")
        return False
    raise InputError(f"{text[:40]!r} is neither an input nor a command; :help lists the commands")


def marked(rewriting: Rewriting, colour: bool) -> str:
    """The output and, where the rule is known, whether it is right."""
    output, expected = rewriting[:2]
    shown = printable(output)
    if expected is None:
        return shown
    if output == expected:
        verdict, shade = "right", _GREEN
    else:
        where = describe(expected, output, first_difference(expected, output))
        verdict, shade = f"wrong, {where}; the rule gives {printable(expected) or 'the empty string'}", _RED
    return f"{shown}  {shade}{verdict}{_PLAIN}" if colour else f"{shown}  {verdict}"


def _is_input(rewriter: Rewriter, text: str) -> bool:
    """Whether the model has tokens for all of `text`."""
    return set(text) <= set(rewriter.trained.tokenizer.alphabet)


class _History:
    """Line editing, and the lines of earlier conversations; without readline, or the folder, it does nothing."""

    def __init__(self) -> None:
        base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        self.path = Path(base) / "ahx" / "history"
        try:
            import readline  # `input` has line editing from now on
        except ImportError:
            self.readline = None
            return
        self.readline = readline
        readline.set_history_length(_HISTORY_LINES)
        with suppress(OSError):
            readline.read_history_file(self.path)

    def save(self) -> None:
        if self.readline is not None:
            with suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.readline.write_history_file(self.path)

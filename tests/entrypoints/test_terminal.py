"""What was read cannot steer a terminal: all that is printed is shown, and a pipe gets exactly what was asked for."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ahx.text import printing
from ahx.text.printing import console, data, guarded, one_line, padded, printable, wrapped

# A clipboard (OSC 52), a link (OSC 8), C1's CSI, a title, backspaces, a carriage return, text from right to left,
# nothing to see, and a letter that is none.
EVIL = "\x1b]52;c;aGk=\x07\x1b]8;;http://x\x1b\\\x9b31m\x1bPq\x08\rB\u202eC\u2066\u200b\u00ad\ufeff\u3164\u2028"
AHX = [sys.executable, "-m", "entrypoints.main"]


def steers(shown: str) -> bool:
    return any(symbol not in "\n\t" and printable(symbol) != symbol for symbol in shown)


def on_a_terminal(*words: str, **environ: str) -> str:
    """What the command writes to a terminal of 200 columns, with rich's own colours and cursor movements taken out."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(COLUMNS="200", **environ)
        os.execv(words[0], words)
    shown = b""
    try:
        while piece := os.read(terminal, 1 << 16):
            shown += piece
    except OSError:  # how Linux tells the end of it
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "words",
    [
        ("rules", "apply", f"A -> '{EVIL}'", "AB"),
        ("rules", "show", f"A -> '{EVIL}'"),
        ("rules", "show", f"@{EVIL}"),
        ("rules", "apply", f"A -> {EVIL} ->", "A"),
        (EVIL,),
        ("train", f"--{EVIL}", "1"),
        ("train", "--rule", "copy", "--seed", EVIL),
        ("eval", "--model", f"missing{EVIL}"),
        ("jobs", "list", EVIL),
        ("sweep", f"{EVIL}.toml"),
    ],
)
def test_nothing_that_was_typed_or_read_steers_the_terminal(words: tuple[str, ...]) -> None:
    shown = on_a_terminal(*AHX, *words)
    assert shown
    assert not steers(shown)


def test_a_pipe_gets_the_exact_answer_and_a_terminal_a_printable_one(tmp_path: Path) -> None:
    line = [*AHX, "rules", "apply", "A -> '\x1b]0;x\x07\u202e'", "AB"]
    assert subprocess.run(line, capture_output=True, check=True).stdout.decode() == "\x1b]0;x\x07\u202eB\n"
    assert on_a_terminal(*line) == "\\x1b]0;x\\x07\\u202eB\n"


def test_lone_surrogates_are_shown() -> None:
    assert printable("a\udc9bb") == "a\\udc9bb"
    assert printable("\té\n日本") == "\té\n日本"
    assert one_line("a\n\tb") == "a\\n\\tb"


def test_rich_keeps_its_own_colours_and_takes_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    class Terminal:
        encoding, errors, closed = "utf-8", "strict", False

        def __init__(self) -> None:
            self.got = ""

        def write(self, text: str) -> int:
            self.got += text
            return len(text)

        def flush(self) -> None: ...

        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with guarded():
        screen = console(width=200, color_system="standard", force_terminal=True)
        table = Table("name", box=None)
        table.add_row(one_line(EVIL))
        table.add_row("[link=http://x]name[/link][bold]:smile:")
        screen.print(table)
        screen.print(Text(printable(EVIL), "red"))
        with Progress(console=screen, transient=True) as bar:
            printing.guard()
            bar.add_task(EVIL, total=1)
            print(EVIL)  # while the bar is drawn, rich stands between print and the terminal
            bar.refresh()
        print(EVIL)
    assert "\x1b[31m" in terminal.got  # rich's own red
    assert "[link=http://x]name[/link][bold]:smile:" in terminal.got
    for sequence in ("\x1b]", "\x9b", "\x1bP", "\x08", "\u202e", "\u200b", "\u3164"):
        assert sequence not in terminal.got
    assert terminal.got.count(printable(EVIL)) >= 4


def test_columns_of_wide_signs_are_aligned() -> None:
    assert [padded(text, 6) + "|" for text in ("ab", "日本")] == ["ab    |", "日本  |"]


def test_data_is_exact_where_it_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.dumps({"line": f"{EVIL}\x7f"})  # DEL is a control character that JSON leaves as it is
    with guarded():
        data(EVIL)
        print(EVIL)
        data(told)
    assert capsys.readouterr().out == f"{EVIL}\n{printable(EVIL)}\n{told}\n"


def test_sentences_are_broken_between_words_but_commands_are_not() -> None:
    sentence = "ahx: error: there is no model here; see `ahx train --help`; train one with: ahx train --rule copy"
    lines = wrapped(f"{sentence}\n  - {sentence}\n", 50).split("\n")
    assert "\n".join(lines).replace("\n", " ").split() == f"{sentence} - {sentence}".split()
    assert max(map(len, lines)) <= 50
    for whole in ("`ahx train --help`", "ahx train --rule copy"):
        assert sum(whole in line for line in lines) == 2
    assert all(line.startswith("  ") for line in lines[3:-1])
    for whole in ("x" * 60, "  ahx train " + "--option value " * 9, "a  table with " + "cells  " * 9):
        assert wrapped(whole, 50) == whole

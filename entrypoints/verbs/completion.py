"""Print a script that completes verbs, options and their values in a shell.

Source it where your shell starts: in ~/.bashrc, or for zsh in ~/.zshrc behind compinit.
"""

import argparse
import re
from collections.abc import Iterator

EXAMPLES = [
    "ahx completion bash > ahx.bash",
    "ahx completion zsh > ahx.zsh",
]

# zsh reads bash's scripts of completion.
_BEFORE = {"bash": "", "zsh": "autoload -U +X bashcompinit && bashcompinit\n"}
_SCRIPT = """\
{before}_ahx() {{
    local verb=${{COMP_WORDS[1]}} at=$COMP_CWORD words
    local word=${{COMP_WORDS[at]}} command=$verb n
    for ((n = 2; n < at; n++)); do
        case "$verb ${{COMP_WORDS[n]}}" in {actions}) command="$verb ${{COMP_WORDS[n]}}" ;; esac
    done
    [ "$at" -gt 1 ] || command=
    case "$command ${{COMP_WORDS[at-1]}}" in
{values}
    *)
        case "$command" in
{options}
        esac
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _ahx ahx"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.add_argument("shell", metavar="SHELL", choices=list(_BEFORE), help="bash or zsh.")


def run(args: argparse.Namespace) -> int:
    """Print the script. Returns the exit code."""
    from ahx.rules import presets
    from ahx.text.printing import data
    from entrypoints.main import VERBS, verb_parser

    options = [("", [*VERBS, "--help", "--version"])]
    values: list[tuple[str, list[str]]] = []
    actions: list[str] = []
    for verb in VERBS:
        for parser in verb_parser(verb).family():
            command = parser.prog.removeprefix("ahx ")
            words: list[str] = []
            for action in parser._actions:
                if isinstance(action, argparse._SubParsersAction):
                    words += list(action.choices)
                    actions += [f"{command} {name}" for name in action.choices]
                elif action.help != argparse.SUPPRESS:
                    choices = sorted(presets()) if "--rule" in action.option_strings else _choices(action)
                    words += action.option_strings or choices
                    values += [(f"{command} {option}", choices) for option in action.option_strings if choices]
            options.append((command, words))
    data(
        _SCRIPT.format(
            before=_BEFORE[args.shell],
            actions="|".join(f'"{name}"' for name in actions),
            values="\n".join(_cases(values, 4)),
            options="\n".join(_cases(options, 8)),
        )
    )
    return 0


def _choices(action: argparse.Action) -> list[str]:
    """The values of an option: its choices, or those that its placeholder lists."""
    listed = re.fullmatch(r"\{(.*)\}", action.metavar) if isinstance(action.metavar, str) else None
    return listed[1].split(",") if listed else [str(choice) for choice in action.choices or ()]


def _cases(table: list[tuple[str, list[str]]], indent: int) -> Iterator[str]:
    for key, words in table:
        yield f'{" " * indent}"{key}") words="{" ".join(words)}" ;;'

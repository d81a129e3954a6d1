"""List, explain and apply rewriting rules.

Without an action it lists the presets. A rule is a preset, a text such as 'A -> AA', a file, or module:function.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ahx.errors import InputError, StorageError
from ahx.text.printing import data, one_line, padded, width

if TYPE_CHECKING:
    from ahx.rules import Rule
    from ahx.rules.transducer import Step

EXAMPLES = [
    "ahx rules",
    "ahx rules show double_a",
    "ahx rules apply 'A -> AA' ABA",
    "ahx rules apply sort CAB --trace",
    "ahx rules apply reverse AB --steps",
    "printf '1011\\n111\\n' | ahx rules apply increment",
]

_SHOWN_STEPS = 24


def configure(parser: argparse.ArgumentParser) -> None:
    """The actions `show` and `apply`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    show = actions.add_parser("show", help="Explain a rule, with the steps of an example.")
    show.add_argument("rule", metavar="RULE", help="A preset such as double_a, or a rule such as 'A -> AA'.")

    apply = actions.add_parser("apply", help="Apply a rule to strings.")
    apply.add_argument("rule", metavar="RULE", help="A preset such as double_a, or a rule such as 'A -> AA'.")
    apply.add_argument("inputs", metavar="INPUT", nargs="*", help="Strings; none, or -, reads standard input.")
    shown = apply.add_mutually_exclusive_group()
    shown.add_argument("--trace", action="store_true", help="Print every intermediate string.")
    shown.add_argument("--steps", action="store_true", help="Print the steps of the rule's transducer.")
    apply.add_argument("--max-steps", type=int, metavar="N", help="Give up after N steps (default: 10,000,000).")


def runs_without_options() -> bool:
    """Without an action it lists the presets."""
    return True


def run(args: argparse.Namespace) -> int:
    """List, show or apply. Returns the exit code."""
    if args.action == "apply":
        for line in _apply(args):
            data(line)
        return 0
    for line in _show(args.rule) if args.action == "show" else _list():
        print(line)
    return 0


def _list() -> Iterator[str]:
    from ahx.rules import presets

    rows = [(p.name, " -> ".join(map(_shown, p.examples[0])), p.description) for p in presets().values()]
    yield from _table([(name, example, description.splitlines()[0]) for name, example, description in rows])
    yield ""
    yield "examples:"
    yield from (f"  {line}" for line in EXAMPLES[1:])


def _show(text: str) -> Iterator[str]:
    from ahx.rules import parse_rule, presets
    from ahx.rules.interpreters.interpreter import Interpreter

    rule, preset = parse_rule(text), presets().get(text.strip().replace("-", "_"))
    examples = preset.examples if preset else rule.examples()
    machine = rule.transducer()
    if preset:
        yield from (f"{preset.name}: {preset.description}", "")
    rows = [("rule", rule.spec), ("family", rule.family), ("alphabet", _shown(rule.alphabet))]
    rows += [("example", f"{_shown(given)} -> {_shown(output)}") for given, output in examples]
    if machine:
        low, high = machine.reads
        sees = "the cell under its cursor" if low == high == 0 else f"cells {low} to {high} from its cursor"
        rows.append(("transducer", f"starts on the {machine.start}, sees {sees}"))
    elif isinstance(rule, Interpreter):
        rows.append(("transducer", "one that also looks rules up in its input (see --steps of `ahx rules apply`)"))
    else:
        rows.append(("transducer", "none; this rule is learnt from its inputs and outputs alone"))
    rows += [("note", remark) for remark in rule.remarks]
    yield from _table(rows)
    if machine and examples:
        given = min((given for given, _ in examples), key=len)
        yield from ("", f"the steps on {_shown(given)}:")
        table = list(_step_table(rule, given, None))
        yield from table[: _SHOWN_STEPS + 1]
        if len(table) > _SHOWN_STEPS + 1:
            yield f"... and {len(table) - _SHOWN_STEPS - 1:,} more"


def _apply(args: argparse.Namespace) -> Iterator[str]:
    from ahx.rules import parse_rule

    if args.max_steps is not None and args.max_steps < 0:
        raise InputError(f"--max-steps: must be 0 or more (got {args.max_steps})")
    rule = parse_rule(args.rule)
    for number, text in enumerate(_inputs(args.inputs)):
        if number and (args.trace or args.steps):
            yield ""
        if args.steps:
            yield from _step_table(rule, text, args.max_steps)
        elif args.trace:
            yield from _trace(rule, text, args.max_steps)
        else:
            yield rule.apply(text, *_limit(args.max_steps))


def _limit(max_steps: int | None) -> tuple[int, ...]:
    return () if max_steps is None else (max_steps,)


def _inputs(inputs: list[str]) -> Iterable[str]:
    for text in inputs or ["-"]:
        if text != "-":
            yield text
            continue
        try:
            for number, line in enumerate(sys.stdin):
                yield (line if number else line.removeprefix("\ufeff")).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise StorageError(f"standard input is not UTF-8 text ({error.reason}); convert it first") from error


def _trace(rule: "Rule", text: str, max_steps: int | None) -> Iterator[str]:
    output, count = text, -1
    for output in rule.trace(text, *_limit(max_steps)):
        count += 1
        yield output
    if summary := rule.summary(output):
        yield f"# {count:,} step{'' if count == 1 else 's'}, {summary}"


def _step_table(rule: "Rule", text: str, max_steps: int | None) -> Iterator[str]:
    """The transducer's steps, one per line, with the cell under the cursor before each."""
    steps = rule.steps(text, *_limit(max_steps))
    if steps is None:
        raise InputError(f"the rule {rule.spec} has no transducer, so it has no steps to print; leave out --steps")
    rows = [("step", "reads", "writes", "moves", "state")]
    for number, (cell, step) in enumerate(_with_cells(rule, text, steps), 1):
        move = f"{step.move:+d}" if step.move else "0"
        rows.append((str(number), _shown(cell), _shown(step.symbol), move, step.state))
    return _table(rows)


def _with_cells(rule: "Rule", text: str, steps: "list[Step]") -> Iterator[tuple[str, "Step"]]:
    """Each step with the cell that was under the cursor."""
    from ahx.rules.interpreters.interpreter import Interpreter
    from ahx.rules.transducer import LEFT_EDGE, NEXT, RIGHT_EDGE, written

    machine = rule.transducer()
    from_left = machine is None or machine.start == "left"
    cells, begun = list(text), 0
    if isinstance(rule, Interpreter):  # the cursor is on the configuration
        from_left = not rule.start.endswith("right")
        cells = [symbol for symbol, move, _ in rule.prompt(text) if move is not None]
    cursor = 0 if from_left else len(cells) - 1
    for at, step in enumerate(steps):
        yield (LEFT_EDGE if cursor < 0 else RIGHT_EDGE if cursor >= len(cells) else cells[cursor]), step
        if step.symbol == NEXT:
            cells, begun = list(written(steps[begun:at])), at + 1
            cursor = 0 if from_left else len(cells) - 1
        else:
            cursor = min(max(cursor + step.move, -1), len(cells))


def _shown(text: str) -> str:
    """`text`, in quotes where it would not be seen."""
    return text if text and text.isprintable() and not text.isspace() else repr(text) if text else '""'


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The rows as lines, every column but the last as wide as its widest cell (up to a third of a line)."""
    rows = [tuple(map(one_line, row)) for row in rows]
    widths = [min(32, max(width(row[i]) for row in rows)) for i in range(len(rows[0]) - 1)]
    for row in rows:
        yield "  ".join([*map(padded, row, widths), row[-1]]).rstrip()

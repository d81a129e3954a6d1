"""What the page of `ahx play` shows, as JSON: one rewriting token by token, or the run of a machine."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError
from ahx.evaluation.attention import attention, name_of
from ahx.evaluation.execution import Execution
from ahx.evaluation.interpreting import Runaway, interpret, interpreter_of
from ahx.evaluation.report import first_difference
from ahx.evaluation.rewriter import Rewriter
from ahx.evaluation.trained import Trained
from ahx.evaluation.verification import is_certified, machine_learnt
from ahx.rules.interpreters.turing_interpreter import BLANK, TuringInterpreter, program_of, read_machine

LONGEST_INPUT = 200  # symbols: a row of 600 tokens has 360,000 weights in each head
MOST_STEPS = 3_000  # of a machine
_LIKELIEST = 5
_LEAST_WEIGHT = 0.005  # of attention that is shown
_BATCH_SECONDS = 0.05  # configurations are sent together
_BUSY_BEAVER = "1RB1LB_1LA0LC_1RZ1LD_1RD0RA"  # of four states


def about(trained: Trained) -> dict[str, Any]:
    """The model, and what the page can ask it."""
    parameters = sum(p.numel() for p in trained.model.parameters())
    kind = {"queue": "machine", "program": "interpreter"}.get(trained.teacher.kind, "rule")
    told = {
        "kind": kind,
        "rule": trained.rule.spec if trained.rule else "",
        "parameters": parameters,
        "positions": trained.model.config.pos,
        "heads": list(trained.model.config.heads),
        "folder": str(trained.folder),
        "certified": is_certified(trained),
        "input": "",
        "program": "",
        "symbols": "",
    }
    if kind == "machine":
        machine = machine_learnt(trained)
        return told | {"symbols": "".join(c for c in machine.cells if len(c) == 1 and c != machine.mark)}
    if kind == "rule":
        examples = trained.rule.examples(1) if trained.rule else []
        return told | {"input": examples[0][0] if examples else trained.tokenizer.alphabet[:8]}
    rule = interpreter_of(trained)
    if isinstance(rule, TuringInterpreter):
        return told | {"symbols": rule.symbols, "program": _BUSY_BEAVER, "input": "0"}
    program, _, text = rule.shown[0].partition("|")
    return told | {"program": program, "input": text}


def rewriting(trained: Trained, text: str) -> dict[str, Any]:
    """How the model rewrites `text`: every token, with what it could have been and what the heads attended to.

    `steps` has an entry for each token that was written; its query is the token before it. Raises InputError.
    """
    if len(text) > LONGEST_INPUT:
        raise InputError(f"the page shows inputs of up to {LONGEST_INPUT} symbols (this one has {len(text):,})")
    seen = attention(trained.for_rewriting(), text)
    expected = Rewriter(trained).expected(text)
    n_input = seen.tokens.index(">") + 1
    queries = range(n_input - 1, len(seen.tokens) - 1)
    return {
        "tokens": seen.tokens,
        "n_input": n_input,
        "kinds": list(seen.heads),
        "steps": [
            {
                "likeliest": _likeliest(seen.logits[q], trained.tokenizer),
                "cursor": seen.cursor[q],
                "heads": _heads(seen.weights[:, :, q]),
            }
            for q in queries
        ],
        "output": seen.output,
        "stopped": seen.stopped,
        "expected": expected,
        "wrong_at": None if expected in (None, seen.output) else first_difference(expected or "", seen.output),
    }


def _likeliest(logits_V: np.ndarray, tokenizer: Tokenizer) -> list[tuple[str, float, float]]:
    """The likeliest tokens: name, probability, and by how many logits each is behind the first."""
    best = np.argsort(-logits_V, kind="stable")[:_LIKELIEST]
    share_V = np.exp(logits_V - logits_V.max())
    share_V /= share_V.sum()
    first = logits_V[best[0]]
    return [(name_of(tokenizer.tokens[n]), float(share_V[n]), float(first - logits_V[n])) for n in best]


def _heads(weights_LHK: np.ndarray) -> list[list[list[tuple[int, float]]]]:
    """For each layer and head, the keys with weight: (place, weight)."""
    return [
        [[(int(k), round(float(own[k]), 3)) for k in np.flatnonzero(own >= _LEAST_WEIGHT)] for own in layer]
        for layer in weights_LHK
    ]


def run(trained: Trained, program: str, text: str) -> Iterator[dict[str, Any]]:
    """The configurations that a machine or an interpreter writes, in batches, and how the run ended.

    `program` is for an interpreter only. Raises InputError.
    """
    written = _interpreted(trained, program, text) if trained.teacher.kind == "program" else _executed(trained, text)
    began = sent = time.monotonic()
    rows: list[str] = []
    steps, end = -1, "limit"
    for row in written:
        if row is None:
            end = "halted"
            break
        steps += 1
        rows.append(row)
        if time.monotonic() - sent > _BATCH_SECONDS:
            sent = time.monotonic()
            yield {"rows": rows, "steps": steps, "seconds": sent - began}
            rows = []
        if steps == MOST_STEPS:
            break
    yield {"rows": rows, "steps": steps, "seconds": time.monotonic() - began, "end": end}


def _executed(trained: Trained, text: str) -> Iterator[str | None]:
    """The configurations of a queue machine; None when it has halted."""
    machine = machine_learnt(trained)
    queues: list[str] = [machine.unload(machine.load(text))]
    execution = Execution(
        trained.model, trained.tokenizer, machine, text, on_step=lambda queue: queues.append(machine.unload(queue))
    )
    while True:
        yield from queues
        queues.clear()
        if execution.halted:
            yield None
        execution.run(steps=execution.steps + 1)


def _interpreted(trained: Trained, program: str, text: str) -> Iterator[str | None]:
    """The configurations of the program; None when nothing changes any more."""
    rule = interpreter_of(trained)
    configuration = text
    if isinstance(rule, TuringInterpreter):
        program = program if ":" in program else program_of(read_machine(program))
        configuration = text if any(c.isalpha() for c in text) else "A" + (text or BLANK)
    rule.prompt(f"{program}|{configuration}")
    if isinstance(rule, TuringInterpreter) and len(configuration) == 2:
        configuration = BLANK + configuration
    yield configuration
    try:
        for answer in interpret(trained, program, configuration):
            if answer == configuration:
                yield None
            configuration = answer
            yield answer
    except Runaway as error:
        raise InputError(f"the model does not end the configuration {str(error)[:60]}; train it further") from None

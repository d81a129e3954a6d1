"""What makes the interpreter of Turing machines work: each ingredient taken away in turn, equal CPU time for all.

    python benchmarks/ablation.py [--seconds 120] [--seeds 3] [--only NAMES] [--json FILE]

Every variant is trained for `--seconds` of CPU time on one thread, the learning rate falling with that time, and then
asked for single steps of machines that it has never seen (2-8 states, 2-4 symbols, tapes of 2-6 cells).
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ahx.data.programs.held_out import HeldOutPrograms
from ahx.data.programs.program_writer import Runs, Tokens
from ahx.data.programs.source import ProgramSource
from ahx.data.programs.turing_machines import Sizes
from ahx.data.programs.writers import vocabulary
from ahx.data.tokenizer import BEGIN, CONFIGURATION, PAD, SEPARATOR, Token, Tokenizer
from ahx.model.batches import by_length, to_batch
from ahx.model.build import configure
from ahx.model.config import TransformerConfig
from ahx.model.device import keep_memory
from ahx.model.transformer import Attention, Transformer
from ahx.rules.interpreters.turing_interpreter import HALT, TuringInterpreter
from ahx.rules.parse import parse_rule
from ahx.rules.transducer import NEXT, Step
from ahx.training.optimizers import FlatParameters, Optimizer, OptimizerSettings
from ahx.training.schedule import scale
from ahx.training.step import TrainingStep

BATCH, WARMUP, PARTS = 16, 30, 1000  # the schedule is cut into so many parts of the CPU time
Words = Callable[[Tokens], Tokens]


class Variant(NamedTuple):
    """What differs from the recipe."""

    about: str
    configuration: Callable[[TransformerConfig], TransformerConfig] = lambda config: config
    prepare: Callable[[Transformer], None] = lambda model: None
    use_muon: bool = True
    composite_head: bool = True


def no_bias(model: Transformer) -> None:
    """All places of a window equally likely at first."""
    for attention in model.modules():
        if isinstance(attention, Attention):
            for name, bias in attention.bias.items():
                if name[0] in "sc":
                    bias.data.zero_()


def small_tokens(model: Transformer) -> None:
    model.tokens.weight_FC.data.mul_(0.1)


def global_heads(config: TransformerConfig) -> TransformerConfig:
    heads = tuple(word.replace("c", "g") for word in config.heads)
    return dataclasses.replace(config, pos="alibi", heads=heads)


VARIANTS = {
    "recipe": Variant("nothing taken away"),
    "coupling": Variant("global heads with ALiBi instead of windows around the cursor", global_heads),
    "bias": Variant("windows without a first bias, instead of +4 on one place for each head", prepare=no_bias),
    "factors": Variant(
        "a vector for each token, instead of sums over its parts",
        lambda config: dataclasses.replace(config, features=()),
    ),
    "muon": Variant("AdamW for all parameters", use_muon=False),
    "head token": Variant("state and scanned cell as two tokens instead of one", composite_head=False),
    "token size": Variant("token embeddings of standard deviation 0.02 at first, instead of 0.2", prepare=small_tokens),
}


class TwoTokens:
    """Rows in which the scanned cell is two tokens: the state, then the symbol."""

    def __init__(self, rule: TuringInterpreter, tokenizer: Tokenizer) -> None:
        states = rule.states + HALT
        marks = [Token(mark) for mark in (PAD, BEGIN, SEPARATOR, CONFIGURATION)]
        program = [token for token in tokenizer.tokens if token.symbol[-1:] in (":", ",")]
        steps = [*(Step(s, 1) for s in rule.symbols + states), *(Step(s, 0) for s in "0" + states), Step(NEXT)]
        self.tokenizer = Tokenizer([*marks, *program, *(Token(*step) for step in steps)], "program")
        number = self.tokenizer.number
        self.size_V = np.ones(len(tokenizer), np.int64)
        self.words_V2 = np.zeros((len(tokenizer), 2), np.uint16)
        self.left_V2 = np.zeros((len(tokenizer), 2), np.uint16)  # ... for a head that opens its configuration
        for i, token in enumerate(tokenizer.tokens):
            if token.move is None or len(token.symbol) != 2 or token.symbol[0] not in states:
                self.words_V2[i, 0] = self.left_V2[i, 0] = number(*token)
                continue
            state, symbol = tuple(token.symbol)
            self.size_V[i] = 2
            # On a new cell one of the two lets the cursor wait: at the left end the first, at the right the last.
            self.words_V2[i] = number(state, 1), number(symbol, token.move)
            self.left_V2[i] = number(state, token.move), number(symbol, 1)
        self.opens_V = np.isin(np.arange(len(tokenizer)), [tokenizer.stop, tokenizer.separator])

    def __call__(self, row: Tokens) -> Tokens:
        opened = np.concatenate([[False], self.opens_V[row[:-1]]])
        pairs = np.where(opened[:, None], self.left_V2[row], self.words_V2[row])
        kept: Tokens = pairs[np.arange(2) < self.size_V[row][:, None]]
        return kept


class Result(NamedTuple):
    errors: int
    steps: int
    batches: int
    parameters: int


def run(variant: Variant, seed: int, seconds: float, n_machines: int) -> Result:
    rule = parse_rule("turing-interpreter")
    assert isinstance(rule, TuringInterpreter)
    plain = vocabulary(rule)
    two = None if variant.composite_head else TwoTokens(rule, plain)
    tokenizer, words = (plain, lambda row: row) if two is None else (two.tokenizer, two)
    torch.manual_seed(seed)
    config = configure(
        tokenizer, pos="coupled", n_layer=2, n_head=4, n_embd=64, block_size=64,
        heads=("sccc", "ccpp"), reads=(-1, 1 if two is None else 2),
    )  # fmt: skip
    model = Transformer(variant.configuration(config))
    variant.prepare(model)
    flat = FlatParameters(model)
    optimizer = Optimizer(flat, OptimizerSettings(use_muon=variant.use_muon))
    step = TrainingStep(model, flat, optimizer, tokenizer.separator, restart=tokenizer.configuration)
    samples = ProgramSource(rule, plain, PARTS, Runs(), seed)
    begun, batches, share = time.process_time(), 0, 0.0
    while share < 1.0:
        # The samples follow the share of the time that has passed, as they follow the step in `ahx train`.
        rng = np.random.default_rng((seed, batches))
        rows = samples.rows(rng, BATCH, samples.sizes(int(share * PARTS)))
        rate = min(scale(int(share * PARTS), PARTS, 0, "cosine"), (batches + 1) / (WARMUP + 1))
        step([words(row) for row in rows], batches, rate)
        batches += 1
        share = (time.process_time() - begun) / seconds
    return Result(*errors_of(model, tokenizer, words, rule, plain, n_machines), batches, len(flat.values))


@torch.inference_mode()
def errors_of(
    model: Transformer, tokenizer: Tokenizer, words: Words, rule: TuringInterpreter, plain: Tokenizer, n: int
) -> tuple[int, int]:
    """Wrong steps and all steps of `n` unseen machines, four runs of six steps each."""
    model.eval()
    held_out, rng, errors, steps = HeldOutPrograms(rule, plain, Sizes(), Runs()), np.random.default_rng(0), 0, 0
    for begin in range(0, n, 1000):
        rows = [words(row) for row in held_out.draw(rng, min(1000, n - begin)).rows]
        for group in by_length([len(row) for row in rows]):
            batch = to_batch([rows[i] for i in group], tokenizer.separator, restart=tokenizer.configuration)
            wrong_R = model(batch.tokens_BT, batch.scored_R).argmax(1) != batch.target_R
            ends_R = batch.target_R == tokenizer.stop
            errors += len(set((ends_R.cumsum(0) - ends_R.long())[wrong_R].tolist()))
            steps += int(ends_R.sum())
    return errors, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="CPU seconds of training each (default: 120)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each variant (default: 3)")
    parser.add_argument("--machines", type=int, default=4000, help="machines that judge each run (default: 4000)")
    parser.add_argument("--only", default=",".join(VARIANTS), help=f"some of {', '.join(VARIANTS)} (default: all)")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(VARIANTS)}")
    torch.set_num_threads(1)
    keep_memory()
    results: dict[str, list[Result]] = {}
    for name in names:
        for seed in range(options.seeds):
            results.setdefault(name, []).append(run(VARIANTS[name], seed, options.seconds, options.machines))
            print(name, seed, results[name][-1], flush=True)
            if options.json:
                options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(f"\n| without | errors per step, seeds 0 to {options.seeds - 1} | batches in {options.seconds:g} s |")
    print("|---|---|---|")
    for name, runs in results.items():
        rates = " / ".join(f"{one.errors / one.steps:.2g}" for one in runs)
        batches = statistics.median(one.batches for one in runs)
        print(f"| {name}: {VARIANTS[name].about} | {rates} | {batches:,.0f} |")


if __name__ == "__main__":
    main()

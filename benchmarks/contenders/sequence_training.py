"""Trains a plain model of string pairs for some CPU seconds, and lets it write: a process of benchmarks/data.py.

python sequence_training.py MODEL SECONDS SEED TRAIN TEST...    one JSON line: CPU seconds, steps, answers by test
"""

import json
import math
import random
import sys
import time
from pathlib import Path

import torch

from contenders.sequence_models import END, GPT, PAD, Codes, EncoderDecoder

MODELS = {model.name: model for model in (GPT, EncoderDecoder)}
_WARMUP = 0.05  # of the CPU time; then the learning rate falls as a cosine to a hundredth
_ROWS = 250


def read(path: str) -> list[tuple[str, str]]:
    return [tuple(line.split(",")) for line in Path(path).read_text("utf-8").splitlines()]  # type: ignore[misc]


def train(model: GPT | EncoderDecoder, rows: list[Codes], seconds: float, seed: int) -> int:
    """Returns the number of steps. The learning rate is a function of the share of `seconds` used."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": model.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=model.lr, betas=model.betas)
    began, steps, draw = time.process_time(), 0, random.Random(seed)
    model.train()
    while (done := (time.process_time() - began) / seconds) < 1:
        rate = min(done / _WARMUP + 0.01, 0.01 + 0.495 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = model.lr * rate
        optimizer.zero_grad()
        model.loss(draw.choices(rows, k=model.batch)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
    return steps


@torch.inference_mode()
def write(model: GPT | EncoderDecoder, sources: list[list[int]], most: int) -> list[list[int]]:
    """Greedy answers without END, of at most `most` tokens."""
    model.eval()
    answers: list[list[int]] = []
    for begin in range(0, len(sources), _ROWS):
        model.start(sources[begin : begin + _ROWS])
        token_B, columns, alive = None, [], torch.ones(len(sources[begin : begin + _ROWS]), dtype=torch.bool)
        for _ in range(most):
            token_B = model.step(token_B).argmax(1)
            alive &= token_B != END
            columns.append(token_B.where(alive, PAD))
            if not alive.any():
                break
        answers += [[token for token in row if token != PAD] for row in torch.stack(columns, 1).tolist()]
    return answers


def main() -> None:
    name, seconds, seed, train_path, *tests = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    pairs, asked = read(train_path), [read(path) for path in tests]
    symbols = sorted({symbol for pair in pairs for text in pair for symbol in text})
    number = {symbol: n for n, symbol in enumerate(symbols, 3)}
    codes = [([*(number[s] for s in text), END], [*(number[s] for s in output), END]) for text, output in pairs]
    longest = max(len(text) + len(output) for part in [pairs, *asked] for text, output in part) + 16
    model = MODELS[name](len(symbols) + 3, longest)
    steps = train(model, codes, float(seconds), int(seed))
    answers = []
    for part in asked:
        sources = [[*(number.get(s, END) for s in text), END] for text, _ in part]
        written = write(model, sources, max(len(output) for _, output in part) + 8)
        answers.append(["".join(symbols[token - 3] for token in row if token > 2) for row in written])
    parameters = sum(p.numel() for p in model.parameters())
    print(json.dumps({"steps": steps, "parameters": parameters, "answers": answers}))


if __name__ == "__main__":
    main()

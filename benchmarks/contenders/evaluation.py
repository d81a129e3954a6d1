"""Exact-match evaluation: how many samples a second each project checks, each with a model that has learnt double_a.

A unit of work is one sample: encode the input, find out whether the model's greedy output is the right one. The next
samples of the file are taken in turn. All models have the same shape and are trained for the purpose, briefly; what
counts is that their outputs have the lengths of real ones. The share that was exact is reported after the run.
"""

import random
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from contenders.training import Shape

GROUP = 256  # rows that are decoded together, of similar length
STEPS = 500  # of training
Check = Callable[[Sequence[tuple[str, str]]], int]  # pairs of input and output -> how many the model gets right


def build(name: str, spec: dict[str, Any]) -> tuple[Callable[[int], None], str]:
    """A function that checks the next n samples, and how many of some of them were exact."""
    shape, peers = Shape(*spec["shape"]), Path(spec["peers"])
    lines = Path(spec["data"]).read_text("utf-8").split()
    samples = [(text, output) for text, _, output in (line.partition(",") for line in lines)]
    longest = max(len(text) for text, _ in samples)
    cached = Path(spec["models"]) / f"{name.split()[0]}-{'-'.join(map(str, shape))}-{longest}.pt"
    if name == "seed":
        check = seed(peers / "ahx-transformer" / "scripts", shape, longest, cached)
    elif name == "HF GPT-2":
        check = gpt2(shape, longest, cached)
    else:
        check = ours(name, shape, longest, cached)
    at = 0

    def work(n: int) -> None:
        nonlocal at
        while n > 0:
            some = samples[at : at + n]
            check(some)
            n -= len(some)
            at = (at + len(some)) % len(samples)

    first = samples[:500]
    return work, f"{check(first) / len(first):.0%} exact"


def draw(n: int, longest: int, rng: random.Random) -> list[tuple[str, str]]:
    """Inputs of A and B of 1 to `longest` symbols, and the same with every A doubled."""
    texts = ["".join(rng.choices("AB", k=rng.randint(1, longest))) for _ in range(n)]
    return [(text, text.replace("A", "AA")) for text in texts]


def groups(samples: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    """Samples of similar input length, `GROUP` at a time."""
    in_order = sorted(samples, key=lambda sample: len(sample[0]))
    for begin in range(0, len(in_order), GROUP):
        yield in_order[begin : begin + GROUP]


def ours(name: str, shape: Shape, longest: int, cached: Path) -> Check:
    """Like the others without a cursor: learned positions, global heads, bare symbols. `name` says which way."""
    from ahx.data.alignment import plain_steps
    from ahx.data.teacher import PlainTeacher
    from ahx.data.tokenizer import Tokenizer
    from ahx.evaluation.evaluate import evaluate
    from ahx.evaluation.report import total
    from ahx.evaluation.trained import Trained
    from ahx.evaluation.writing import write
    from ahx.model.build import configure
    from ahx.model.device import keep_memory
    from ahx.model.scoring import score
    from ahx.model.transformer import Transformer
    from ahx.training.optimizers import FlatParameters, Optimizer, OptimizerSettings
    from ahx.training.step import TrainingStep

    keep_memory()
    rng = random.Random(0)
    tokenizer = Tokenizer.fit([("AB", plain_steps("AB"))])

    def rows(samples: Sequence[tuple[str, str]]) -> list[list[int]]:
        return [tokenizer.encode_input(x) + tokenizer.encode_steps(plain_steps(y)) for x, y in samples]

    n_layer, n_head, n_embd, block = shape.layers, shape.heads, shape.embed, room(shape, longest)
    model = Transformer(
        configure(tokenizer, pos="learned", n_layer=n_layer, n_head=n_head, n_embd=n_embd, block_size=block)
    )
    if cached.exists():
        model.load_state_dict(torch.load(cached))
    else:
        flat = FlatParameters(model)
        step = TrainingStep(model, flat, Optimizer(flat, OptimizerSettings()), tokenizer.separator)
        for number in range(STEPS):
            step(rows(draw(64, longest, rng)), number, 1.0 - number / STEPS)
        save(model, cached)
    trained = Trained(model, tokenizer, PlainTeacher(), None, {}, Path())

    def decoded(samples: Sequence[tuple[str, str]]) -> int:
        prompts = [tokenizer.encode_input(text) for text, _ in samples]
        answers = write(model, tokenizer, prompts, [2 * len(text) + 2 for text, _ in samples])
        return sum(answer.text == right for answer, (_, right) in zip(answers, samples, strict=True))

    def teacher_forced(samples: Sequence[tuple[str, str]]) -> int:
        encoded = trained.encoder.pairs(samples)
        assert encoded is not None
        return int(score(model, encoded, tokenizer.separator).exact_N.sum())

    def whole(samples: Sequence[tuple[str, str]]) -> int:
        return total(evaluate(trained, samples).by_length.values()).exact

    return {"ahx decoding": decoded, "ahx teacher-forced": teacher_forced, "ahx evaluate": whole}[name]


def room(shape: Shape, longest: int) -> int:
    """Tokens of the longest row, where that is more than the shape's block."""
    return max(shape.block, 3 * longest + 3)


def seed(folder: Path, shape: Shape, longest: int, cached: Path) -> Check:
    """The loop of its eval.py: one sample after the other."""
    sys.path.insert(0, str(folder))
    sys.modules["boto3"] = types.ModuleType("boto3")  # its helpers import it for files on S3, of which there are none
    import train  # type: ignore[import-not-found]
    from tokenizer import Tokenizer  # type: ignore[import-not-found]
    from transformer import TransformerModel  # type: ignore[import-not-found]

    shipped = folder / "da_small.pt"
    if not cached.exists() and shape == Shape(32, 32, 1, 2, 32):
        cached = shipped
    if cached.exists():
        model = TransformerModel.load("cpu", Tokenizer([]), str(cached))
    else:
        lines = ["{" + f"{text},{output}" + "}" for text, output in draw(10_000, longest, random.Random(0))]
        tokenizer = Tokenizer(lines)
        model = TransformerModel("cpu", tokenizer, shape.embed, shape.layers, shape.heads, shape.block, 0.0)
        model.add_optimizer(3e-3)
        encoded = [tokenizer.encode(line) for line in lines]
        for _ in range(STEPS):
            _, loss = model(*train.get_batch(tokenizer, encoded, shape.batch, shape.block))
            model.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            model.optimizer.step()
        cached.parent.mkdir(parents=True, exist_ok=True)
        model.save(str(cached))
    model.eval()
    stop = model.tokenizer.encode("}")

    @torch.no_grad()
    def check(samples: Sequence[tuple[str, str]]) -> int:
        good = 0
        for text, output in samples:
            good += model.generate("{" + text + ",", stop) == "{" + f"{text},{output}" + "}"
        return good

    return check


def gpt2(shape: Shape, longest: int, cached: Path) -> Check:
    """transformers' GPT-2 with its cache of keys and values, sorted by length, padded on the left."""
    from transformers import GPT2Config, GPT2LMHeadModel  # type: ignore[import-not-found]

    number = {symbol: n for n, symbol in enumerate("_{,}AB")}  # _ is padding
    block = room(shape, longest)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(number), n_positions=block, n_embd=shape.embed, n_layer=shape.layers, n_head=shape.heads,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=number["}"],
        )
    )  # fmt: skip

    def encode(texts: Sequence[str], left: bool) -> tuple[Tensor, Tensor]:
        T = max(map(len, texts))
        padded = [text.rjust(T, "_") if left else text.ljust(T, "_") for text in texts]
        tokens = torch.tensor([[number[symbol] for symbol in text] for text in padded])
        return tokens, (tokens > 0).long()

    if cached.exists():
        model.load_state_dict(torch.load(cached))
    else:
        rng = random.Random(0)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for step in range(STEPS):
            tokens, mask = encode(["{" + f"{x},{y}" + "}" for x, y in draw(64, longest, rng)], False)
            after = (tokens == number[","]).cumsum(1) > 0
            target = torch.where(after & (mask > 0), tokens.roll(-1, 1), 0)
            target[:, -1] = 0
            logits = model(input_ids=tokens, attention_mask=mask).logits
            loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=0)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / STEPS)
            optimizer.step()
            optimizer.zero_grad()
        save(model, cached)
    model.eval()
    symbols = "_{,}AB"

    @torch.inference_mode()
    def check(samples: Sequence[tuple[str, str]]) -> int:
        good = 0
        for some in groups(samples):
            tokens, mask = encode(["{" + text + "," for text, _ in some], True)
            written = model.generate(
                tokens, attention_mask=mask, max_new_tokens=2 * len(some[-1][0]) + 2, do_sample=False, pad_token_id=0
            )[:, tokens.shape[1] :]
            for row, (_, right) in zip(written.tolist(), some, strict=True):
                good += "".join(symbols[n] for n in row).partition("}")[0] == right
        return good

    return check


def save(model: torch.nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: tensor.clone() for name, tensor in model.state_dict().items()}, path)

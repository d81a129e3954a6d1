"""Hostile model folders, and the message for each:

    PYTHONPATH=src python tests/hostile_models.py

prints the table, within 300 MB more memory than torch takes by itself, and fails where one is accepted, runs something,
or is rejected with a traceback. Every hash in these folders is right: an attacker writes those too.
"""

import json
import os
import pickle
import resource
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ahx.data.seen import Seen
from ahx.data.split import hash_texts
from ahx.data.tokenizer import Tokenizer
from ahx.errors import AhxError
from ahx.evaluation.execution import Execution
from ahx.evaluation.interpreting import interpreter_of
from ahx.evaluation.judging import judge
from ahx.evaluation.rewriter import Rewriter
from ahx.evaluation.trained import load_trained
from ahx.evaluation.verification import machine_learnt
from ahx.model import checkpoint
from ahx.model.build import configure
from ahx.model.certificate import read_certificate
from ahx.model.checkpoint import CERTIFICATE, CONFIG, SEEN, TRAINING_STATE, WEIGHTS, digest
from ahx.model.transformer import Transformer
from ahx.rules.transducer import Step
from ahx.safe_files.untrusted import sha256

ROOM = 300_000_000  # bytes of memory
MODULE = "lies_in_the_folder"
STATE = {"step": 3, "best": float("inf"), "optimizer": {"mean": torch.arange(5.0), "steps": 3}}
HYPERPARAMETERS = {"rule": None, "infile": None, "alphabet": None, "min_len": 1, "max_len": 10, "n_embd": 16}

Config = dict[str, Any]


def sound(folder: Path) -> Path:
    """A model that is as it should be, with a state of training and a module that tells when it is imported."""
    steps = [Step(symbol, move) for symbol in "AB" for move in (0, 1)]
    tokenizer = Tokenizer.fit([("AB", [*steps, Step("<next>")])])
    torch.manual_seed(0)
    model = Transformer(configure(tokenizer, pos="coupled", n_layer=2, n_head=4, n_embd=16, block_size=64))
    about = {"rule": None, "teacher": {"kind": "plain"}, "hyperparameters": HYPERPARAMETERS, "step": 3, "metrics": {}}
    about["seen"] = Seen().add(hash_texts(["A", "B", "AB"]))
    checkpoint.save(folder, model, tokenizer, about, STATE)
    (folder / f"{MODULE}.py").write_text("open('imported', 'w').close()\n\ndef rule(text): return text\n")
    (folder / "rule.txt").write_text("A -> AA")
    return folder


def rehash(folder: Path, config: Config) -> None:
    config["sha256"] = {
        name: sha256(folder / name) for name in (WEIGHTS, SEEN, TRAINING_STATE) if (folder / name).is_file()
    }
    config["sha256"][CONFIG] = digest(config)
    (folder / CONFIG).write_text(json.dumps(config), "utf-8")


def edit(**changes: object) -> Callable[[Path], None]:
    """Fields of config.json, those of its parts as part__field; `...` takes a field away."""

    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        for name, value in changes.items():
            *parts, last = name.split("__")
            place = config
            for part in parts:
                place = place[part]
            if value is ...:
                del place[last]
            else:
                place[last] = value
        rehash(folder, config)

    return change


def text(make: Callable[[str], str | bytes]) -> Callable[[Path], None]:
    """The text of config.json, whose hash is of its contents."""

    def change(folder: Path) -> None:
        made = make((folder / CONFIG).read_text("utf-8"))
        (folder / CONFIG).write_bytes(made if isinstance(made, bytes) else made.encode())

    return change


def contents(name: str, make: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """The bytes of another file, hashed anew."""

    def change(folder: Path) -> None:
        (folder / name).write_bytes(make((folder / name).read_bytes()))
        rehash(folder, json.loads((folder / CONFIG).read_text("utf-8")))

    return change


def weights(make: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def change(data: bytes) -> bytes:
        tensors = safetensors.torch.load(data)
        make(tensors)
        return safetensors.torch.save(tensors)

    return contents(WEIGHTS, change)


def header(make: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def change(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        entries = json.loads(data[8 : 8 + length])
        make(entries)
        new = json.dumps(entries).encode()
        return struct.pack("<Q", len(new)) + new + data[8 + length :]

    return contents(WEIGHTS, change)


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Something else in the place of a file."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def many_tokens(folder: Path) -> None:
    """40,000 tokens of 40,000 features over weights that fit: the table of both would have 6.4 GB."""
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    config["tokenizer"]["tokens"] += [[chr(0x20000 + n), None, ""] for n in range(40_000)]
    config["architecture"] |= {"n_embd": 4}
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    for name, tensor in tensors.items():
        shape = [4 * n // 16 if n >= 16 else n for n in tensor.shape]
        tensors[name] = torch.zeros([40_011, 4] if "weight_FC" in name else shape)
    safetensors.torch.save_file(tensors, folder / WEIGHTS)
    rehash(folder, config)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


def torch_bomb(path: Path) -> None:
    torch.save({"step": Bomb()}, path)


def state(values: str) -> Callable[[Path], None]:
    return contents(
        TRAINING_STATE, lambda _: safetensors.torch.save({"optimizer.mean": torch.ones(2)}, {"values": values})
    )


def _set(name: str, value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors[name].view(-1).__setitem__(0, value)


LOAD, LOST, RESUME, CERTIFIED = "load", "the rule", "resume", "certificate"
_CUT = {"source": "words", "target": "words", "normalize": "", "words": []}
_FIT = "do not fit their config.json"
_NO = "does not describe a model"
_RUN = "is not run unasked"


#: What is wrong, how it is made, what is then asked for, and a part of what is said.
def wide_alignment() -> dict[str, object]:
    """An alignment of 20,000 symbols, each of which writes another chunk."""
    alone = {chr(0x4E00 + n): {chr(0x4E00 + n): 1.0} for n in range(20_000)}
    return {
        "kind": "monotone",
        "start": "left",
        "longest": 3,
        "outputs": 1,
        "alone": alone,
        "after": {},
        "before": {},
        "reads": [-1, 1],
        "whole": False,
        "settled": 1.0,
    }


ATTEMPTS: list[tuple[str, Callable[[Path], None], str, str]] = [
    ("a rule in the standard library", edit(rule="subprocess:getoutput; alphabet=AB"), LOST, _RUN),
    ("a rule in the folder", edit(rule=f"{MODULE}:rule"), LOST, _RUN),
    ("... with a space", edit(rule=f"  {MODULE}:rule ; alphabet=AB"), LOST, _RUN),
    ("... of a teacher", edit(rule=f"{MODULE}:rule", teacher={"kind": "machine", "rule": "x"}), LOAD, _RUN),
    ("... of a machine", edit(rule=f"{MODULE}:rule", teacher={"kind": "queue"}), LOAD, _RUN),
    ("... of an interpreter", edit(rule=f"{MODULE}:rule", teacher={"kind": "program"}), LOAD, _RUN),
    ("a rule in a file", edit(rule="@rule.txt"), LOST, "cannot read the rule"),
    ("a rule in a file without @", edit(rule="rule.txt"), LOST, "cannot read the rule"),
    ("a rule that is a number", edit(rule=7), LOAD, _NO),
    ("a rule that never ends", edit(rule="A" * 1000 + ": 1"), LOST, "cannot read the rule"),
    ("an alphabet of 1,000,000 symbols", edit(rule="ca: 110; alphabet=" + "01" * 500_000), LOST, "twice"),
    ("width 16,384 over small weights", edit(architecture__n_embd=16_384), LOAD, _FIT),
    ("200,000 layers", edit(architecture__n_layer=200_000, architecture__heads=["cccc"] * 200_000), LOAD, _NO),
    ("1,000 layers", edit(architecture__n_layer=1000, architecture__heads=["cccc"] * 1000), LOAD, _FIT),
    ("layers without heads", edit(architecture__n_layer=1000, architecture__heads=[]), LOAD, _NO),
    ("10^9 heads", edit(architecture__n_head=10**9), LOAD, _NO),
    ("no heads", edit(architecture__n_head=0), LOAD, _NO),
    ("heads of no kind", edit(architecture__heads=["xxxx", "xxxx"]), LOAD, _NO),
    ("heads of another number", edit(architecture__heads=["ccc", "cccc"]), LOAD, _NO),
    ("coupled heads without coupling", edit(architecture__pos="none"), LOAD, _NO),
    ("learned positions for 10^9 tokens", edit(architecture__pos="learned", architecture__block_size=10**9,
     architecture__heads=["gggg", "gggg"]), LOAD, _FIT),
    ("10^9 tokens in a window", edit(architecture__window=10**9), LOAD, _NO),
    ("9,999 offsets", edit(architecture__offsets=list(range(9_999))), LOAD, _FIT),
    ("offsets without heads", edit(architecture__offsets=[0] * 9_999, architecture__heads=["ssss"] * 2), LOAD, _NO),
    ("an offset of 10^12", edit(architecture__offsets=[10**12]), LOAD, _NO),
    ("10^6 n-grams", edit(architecture__ngrams=10**6), LOAD, _FIT),
    ("10^9 n-grams", edit(architecture__ngrams=10**9), LOAD, _NO),
    ("n-grams without their offsets", edit(architecture__ngrams=9, architecture__offsets=[0]), LOAD, _NO),
    ("n-grams of a machine", edit(architecture__ngrams=9, tokenizer__start="queue"), LOAD, _NO),
    ("a width in words", edit(architecture__n_embd="16"), LOAD, _NO),
    ("a width of 16.0", edit(architecture__n_embd=16.0), LOAD, _NO),
    ("a width that is true", edit(architecture__n_embd=True), LOAD, _NO),
    ("a width of 400 digits", edit(architecture__n_embd=10**400), LOAD, _NO),
    ("dropout NaN", edit(architecture__dropout=float("nan")), LOAD, _NO),
    ("an unknown scheme", edit(architecture__pos="x"), LOAD, _NO),
    ("an unknown field", edit(architecture__colour="red"), LOAD, _NO),
    ("a field too few", edit(architecture__window=...), LOAD, _NO),
    ("an architecture in a word", edit(architecture="large"), LOAD, _NO),
    ("no tokenizer", edit(tokenizer=...), LOAD, _NO),
    ("tokens of one part", edit(tokenizer__tokens=[["A"]]), LOAD, _NO),
    ("tokens that are none", edit(tokenizer__tokens=[["A", "B", "C"]]), LOAD, _NO),
    ("no tokens", edit(tokenizer__tokens=[]), LOAD, _NO),
    ("a token twice", edit(tokenizer__tokens=[["A", None, ""]] * 11), LOAD, _NO),
    ("a start that is none", edit(tokenizer__start="above"), LOAD, _NO),
    ("another start than the teacher's", edit(tokenizer__start="right"), LOAD, "its teacher cannot use"),
    ("40,000 tokens in a table", many_tokens, LOAD, _FIT),
    ("half a symbol", edit(tokenizer__tokens=[["\ud800", None, ""]]), LOAD, _NO),
    ("words of no kind", edit(tokenizer__segmentation={**_CUT, "source": "syllables"}), LOAD, _NO),
    ("a word twice", edit(tokenizer__segmentation={**_CUT, "words": ["AH0", "AH0"]}), LOAD, _NO),
    ("an empty word", edit(tokenizer__segmentation={**_CUT, "words": [""]}), LOAD, _NO),
    ("a word of 10,000 letters", edit(tokenizer__segmentation={**_CUT, "words": ["A" * 10_000]}), LOAD, _NO),
    ("70,000 words", edit(tokenizer__segmentation={**_CUT, "words": [str(n) for n in range(70_000)]}), LOAD, _NO),
    ("a normal form of no kind", edit(tokenizer__segmentation={**_CUT, "normalize": "NFX"}), LOAD, _NO),
    ("words that are missing", edit(tokenizer__segmentation={"source": "words"}), LOAD, _NO),
    ("a sketch of 9 bytes", contents(SEEN, lambda d: d[:9]), LOAD, "not a multiple of 8"),
    ("a sketch out of order", contents(SEEN, lambda d: d[::-1]), LOAD, "not in ascending order"),
    ("a sketch of a megabyte", contents(SEEN, lambda d: bytes(10**6)), LOAD, "no sketch of training inputs"),
    ("a pipe for a sketch", instead(SEEN, os.mkfifo), LOAD, "it is not a file"),
    ("columns in a number", edit(hyperparameters__columns=3), LOAD, _NO),
    ("a batch in words", edit(hyperparameters__batch_size="ten"), LOAD, _NO),
    ("a length in words", edit(hyperparameters__max_len="ten"), LOAD, _NO),
    ("a length of -1", edit(hyperparameters__max_len=-1), LOAD, _NO),
    ("a list of lengths", edit(hyperparameters__max_len=[10]), LOAD, _NO),
    ("hyperparameters in a list", edit(hyperparameters=[1]), LOAD, _NO),
    ("a hyperparameter in a list", edit(hyperparameters__n_embd=[[]]), LOAD, _NO),
    ("a file that is a number", edit(hyperparameters__infile=3), LOAD, _NO),
    ("a teacher of no kind", edit(teacher={"kind": "x"}), LOAD, _NO),
    ("a teacher without lengths", edit(teacher={"kind": "alignment", "start": "left"}), LOAD, "a teacher"),
    ("a teacher with words for lengths", edit(teacher={"kind": "alignment", "lengths": {"A": "x"}}), LOAD, _NO),
    ("an alignment without chunks", edit(teacher={"kind": "monotone", "start": "left"}), LOAD, "a teacher"),
    ("an alignment of 4 * 10^8 entries", edit(teacher=wide_alignment()), LOAD, "a teacher"),
    ("a step in words", edit(step="three"), LOAD, _NO),
    ("a step of -1", edit(step=-1), LOAD, _NO),
    ("metrics in words", edit(metrics={"val_loss": "low"}), LOAD, _NO),
    ("hashes in a list", text(lambda t: json.dumps(json.loads(t) | {"sha256": [1]})), LOAD, "was changed"),
    ("a name twice", text(lambda t: t.replace("{", '{"step": 9,', 1)), LOAD, "twice"),
    ("10,000 lists in a list", text(lambda t: "[" * 10_000 + "]" * 10_000), LOAD, "nested too deeply"),
    ("... in a field", text(lambda t: t.replace("{", '{"x": ' + "[" * 900 + "]" * 900 + ",", 1)), LOAD, "config.json"),
    ("9 MB of text", text(lambda t: t + " " * 9_000_000), LOAD, "more than"),
    ("no UTF-8", text(lambda t: b"\xff" + t.encode()), LOAD, "cannot be read"),
    ("a number of 10,000 digits", text(lambda t: t.replace("{", '{"x": ' + "9" * 10_000 + ",", 1)), LOAD, "digits"),
    ("a pipe for a configuration", instead(CONFIG, os.mkfifo), LOAD, "it is not a file"),
    ("a device for a configuration", instead(CONFIG, lambda p: p.symlink_to("/dev/zero")), LOAD, "it is not a file"),
    ("a device for weights", instead(WEIGHTS, lambda p: p.symlink_to("/dev/zero")), LOAD, "it is not a file"),
    ("a pipe for weights", instead(WEIGHTS, os.mkfifo), LOAD, "it is not a file"),
    ("a weight too few", weights(lambda w: w.pop("norm.weight")), LOAD, _FIT),
    ("a weight too many", weights(lambda w: w.update(x=torch.ones(1))), LOAD, _FIT),
    ("a weight of another shape", weights(lambda w: w.update({"norm.weight": torch.ones(17)})), LOAD, _FIT),
    ("weights in float64", weights(lambda w: w.update({k: v.double() for k, v in w.items()})), LOAD, _FIT),
    ("a weight in bfloat16", weights(lambda w: w.update({"norm.weight": torch.ones(16).bfloat16()})), LOAD, _FIT),
    ("a weight that is NaN", weights(_set("norm.weight", float("nan"))), LOAD, "NaN or infinite"),
    ("an infinite weight", weights(_set("head.weight_FC", float("-inf"))), LOAD, "NaN or infinite"),
    ("a header of 2^60 bytes", contents(WEIGHTS, lambda d: struct.pack("<Q", 2**60) + d[8:]), LOAD, "no whole file"),
    ("a header behind the end", contents(WEIGHTS, lambda d: struct.pack("<Q", len(d)) + d[8:]), LOAD, "no whole file"),
    ("a header that is no JSON", contents(WEIGHTS, lambda d: d[:8] + b"x" + d[9:]), LOAD, "no whole file"),
    ("weights that overlap", header(lambda h: h["norm.weight"].update(data_offsets=[0, 64])), LOAD, "no whole file"),
    ("weights behind the end", header(lambda h: h["norm.weight"].update(data_offsets=[2**40, 2**40 + 64])), LOAD,
     "no whole file"),
    ("a shape of 2^62", header(lambda h: h["norm.weight"].update(shape=[2**62])), LOAD, "no whole file"),
    ("a negative shape", header(lambda h: h["norm.weight"].update(shape=[-16])), LOAD, "no whole file"),
    ("weights cut off", contents(WEIGHTS, lambda d: d[:-64]), LOAD, "no whole file"),
    ("empty weights", contents(WEIGHTS, lambda d: b""), LOAD, "no whole file"),
    ("a pickle for weights", contents(WEIGHTS, lambda d: pickle.dumps({"step": Bomb()})), LOAD, "no whole file"),
    ("a pickle for a state", contents(TRAINING_STATE, lambda d: pickle.dumps({"step": Bomb()})), RESUME, "no state"),
    ("torch's pickle for a state", lambda f: (torch_bomb(f / TRAINING_STATE), edit()(f)), RESUME, "no state"),
    ("a state that is no object", state("[1, 2]"), RESUME, "no state"),
    ("a state without a place for tensors", state("{}"), RESUME, "no state"),
    ("a state that is nested", state("[" * 10_000), RESUME, "no state"),
    ("a state without values", contents(TRAINING_STATE, lambda d: safetensors.torch.save({})), RESUME, "no state"),
    ("a certificate that is nested", lambda f: (f / CERTIFICATE).write_text("[" * 10_000), CERTIFIED, "cannot be read"),
    ("a certificate that is a device", lambda f: (f / CERTIFICATE).symlink_to("/dev/zero"), CERTIFIED, "not a file"),
    ("a certificate in a list", lambda f: (f / CERTIFICATE).write_text("[]"), CERTIFIED, "cannot be read"),
]  # fmt: skip


def ask(folder: Path, what: str) -> None:
    """Do what commands do with a model."""
    if what == RESUME:
        checkpoint.load_training_state(folder)
    elif what == CERTIFIED:
        read_certificate(folder)
    elif (lost := load_trained(folder, trusted=None).lost) is not None and what == LOST:
        raise lost


def use(folder: Path) -> None:
    """Rewrite a few strings with a model, judge it, run it as a machine and as an interpreter, as far as it can."""
    trained = load_trained(folder, trusted=None)
    with suppress(AhxError):
        Rewriter(trained, 0.0, 20, 0)("AB")
    with suppress(AhxError):
        judge(trained, [("AB", "AAB"), ("", ""), ("B", "A")])
    with suppress(AhxError):
        Execution(trained.model, trained.tokenizer, machine_learnt(trained), "").run(tokens=20)
    with suppress(AhxError):
        interpreter_of(trained)
    checkpoint.load_training_state(folder)


def table() -> Iterator[tuple[str, str, bool]]:
    """Every attempt, what was said, and whether that is what should be."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as home:
        original = sound(Path(home, "sound"))
        for what in (LOAD, LOST, RESUME):
            ask(original, what)
        for name, change, what, part in ATTEMPTS:
            folder = Path(home, "model")
            shutil.copytree(original, folder)
            change(folder)
            os.chdir(folder)  # as the model card has it
            said = ""
            try:
                ask(folder, what)
            except AhxError as error:
                said = str(error).replace(f"{folder}/", "").replace(str(folder), "the folder")
            finally:
                os.chdir(before)
            ran = [path.name for path in folder.iterdir() if path.name in ("imported", "exploded")]
            if ran or MODULE in sys.modules:
                said = f"RAN {ran}"
            yield name, said.partition("\n")[0], part in said
            shutil.rmtree(folder)


if __name__ == "__main__":
    torch.set_num_threads(1)
    taken = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    print(f"Python {sys.version.split()[0]}")
    wrong = 0
    for name, said, right in table():
        wrong += not right
        print(f"| {name} | {said} |" + ("" if right else "  <- WRONG"))
    sys.exit(wrong > 0)

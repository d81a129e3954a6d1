"""What each mistake on the command line is answered with. The sentence is all that is printed; the exit code is 2."""

import pytest

from ahx.training.hyperparameters import Hyperparameters
from entrypoints.main import VERBS, main

TRAIN = [
    # Names
    ("--n_layr 4", "unknown option --n_layr; did you mean --n-layer?"),
    ("--n-layr=4", "unknown option --n-layr; did you mean --n-layer?"),
    ("--num_layer 4", "unknown option --num_layer; did you mean --num-layers?"),
    ("--learning-rat 1", "unknown option --learning-rat; did you mean --learning-rate?"),
    ("--qux 4", "unknown option --qux; `ahx train --help` lists the options"),
    ("--n 4", "unknown option --n; `ahx train --help` lists the options"),
    ("double_a", "unexpected argument 'double_a'; quote values with spaces, or see `ahx train --help`"),
    ("--rule A -> AA", "unexpected argument '->'; quote values with spaces, or see `ahx train --help`"),
    ("--rule", "--rule: expected one argument; see `ahx train --help`"),
    ("--rule --n_layer 4", "--rule: expected one argument; see `ahx train --help`"),
    # Types and ranges
    ("--rule copy --n_layer zero", "n_layer: must be a whole number from 1 to 1,000 (got 'zero')"),
    ("--rule copy --n_layer 0", "n_layer: must be a whole number from 1 to 1,000 (got '0')"),
    ("--rule copy --num_layers 0", "n_layer: must be a whole number from 1 to 1,000 (got '0' from --num-layers)"),
    ("--rule copy --n_head 2.5", "n_head: must be a whole number from 1 to 1,000 (got '2.5')"),
    ("--rule copy --n_embd 1e9", "n_embd: must be a whole number from 1 to 65,536 (got '1e9')"),
    ("--rule copy --block_size -1", "block_size: must be a whole number from 0 to 1,000,000 (got '-1')"),
    (
        "--rule copy --batch_sz many",
        "batch_size: must be a whole number from 1 to 1,000,000 (got 'many' from --batch-sz)",
    ),
    ("--rule copy --dropout 1", "dropout: must be a number of at least 0 and less than 1 (got '1')"),
    ("--rule copy --learning_rate -1e-3", "learning_rate: must be a number greater than 0 (got '-1e-3')"),
    ("--rule copy --learning_rate nan", "learning_rate: must be a number greater than 0 (got 'nan')"),
    ("--rule copy --muon_learning_rate 0", "muon_learning_rate: must be a number greater than 0 (got '0')"),
    ("--rule copy --weight_decay inf", "weight_decay: must be a number of at least 0 (got 'inf')"),
    ("--rule copy --grad_clip none", "grad_clip: must be a number of at least 0 (got None)"),
    ("--rule copy --min_loss x", "min_loss: must be a number of at least 0 (got 'x')"),
    ("--rule copy --num_epochs 0", "num_epochs: must be a whole number from 1 to 1,000,000 (got '0')"),
    ("--rule copy --max_steps 0", "max_steps: must be a whole number from 1 to 1,000,000,000 (got '0')"),
    ("--rule copy --max_seconds 0", "max_seconds: must be a number greater than 0 (got '0')"),
    ("--rule copy --eval_interval 0", "eval_interval: must be a number greater than 0 (got '0')"),
    ("--rule copy --checkpoint_interval=-1", "checkpoint_interval: must be a number greater than 0 (got '-1')"),
    ("--rule copy --keep_checkpoints 0", "keep_checkpoints: must be a whole number from 1 to 1,000,000 (got '0')"),
    ("--rule copy --val_samples 0", "val_samples: must be a whole number from 1 to 1,000,000 (got '0')"),
    ("--rule copy --warmup_steps -1", "warmup_steps: must be a whole number from 0 to 1,000,000,000 (got '-1')"),
    ("--rule copy --until_exact ten", "until_exact: must be a whole number from 0 to 1,000,000,000 (got 'ten')"),
    ("--rule copy --min_len 0", "min_len: must be a whole number from 1 to 1,000,000 (got '0')"),
    ("--rule copy --max_len 10000000", "max_len: must be a whole number from 1 to 1,000,000 (got '10000000')"),
    ("--rule copy --seed -1", "seed: must be a whole number from 0 to 4,294,967,295 (got '-1')"),
    ("--rule copy --threads -1", "threads: must be a whole number from 0 to 4,096 (got '-1')"),
    ("--rule copy --compile maybe", "compile: must be true or false (got 'maybe')"),
    ("--rule copy --resume runs/copy", "resume: must be true or false (got 'runs/copy')"),
    ("--rule=", "rule: must be text that is not empty (got '')"),
    ("--infile=", "infile: must be text that is not empty (got '')"),
    ("--rule copy --model_in=", "model_in: must be text that is not empty (got '')"),
    ("--rule copy --model_out=", "model_out: must be text that is not empty (got '')"),
    ("--rule copy --alphabet=", "alphabet: must be text that is not empty (got '')"),
    # Choices
    ("--rule copy --optimizer admw", "optimizer: must be one of muon, adamw (got 'admw'); did you mean adamw?"),
    (
        "--rule copy --lr_schedule cosin",
        "lr_schedule: must be one of cosine, linear, constant (got 'cosin'); did you mean cosine?",
    ),
    ("--rule copy --precision fp16", "precision: must be one of auto, float32, bfloat16 (got 'fp16')"),
    ("--rule copy --device gpu", "device: must be auto, cpu, mps, cuda or cuda:N (got 'gpu')"),
    (
        "--rule copy --pos ropes",
        "pos: must be one of auto, coupled, learned, none, rope, alibi, hard-alibi (got 'ropes'); did you mean rope?",
    ),
    # What does not fit together
    ("--n_layer 4", "rule: nothing to learn yet; give a rule (such as double_a) or an infile"),
    ("--rule copy --n_embd 50", "n_embd (50) must be a multiple of n_head (4); 52 is the next"),
    ("--rule copy --n_embd 12 --pos rope", "n_embd (12) must be an even multiple of n_head (4) for pos rope"),
    ("--rule copy --min_len 11", "min_len (11) must not be greater than max_len (10)"),
    ("--rule copy --max_steps 9 --warmup_steps 9", "warmup_steps (9) must be smaller than max_steps (9)"),
    (
        "--rule copy --epoch_size 0",
        "epoch_size: 0 means the whole file, but there is no infile; give a number of samples",
    ),
    ("--rule copy --heads sccc", "heads: 'sccc' must be 2 words (n_layer) of 4 letters (n_head)"),
    ("--rule copy --heads sccc/cccx", "heads: 'x' in 'sccc/cccx' is not a kind of head; use the letters s, c, g and p"),
    (
        "--rule copy --heads sccc/cccc --pos rope",
        "heads: 'sccc/cccc' has coupled heads (c), which need pos coupled (got rope)",
    ),
    (
        "--rule copy --n_layer 2 --num_layers 3",
        "n_layer: --n-layer says '2' but --num-layers says '3'; keep one of the two",
    ),
    # Several at once
    (
        "--dropout 2 --n_head 0",
        "2 things are wrong:\n"
        "  - n_head: must be a whole number from 1 to 1,000 (got '0')\n"
        "  - dropout: must be a number of at least 0 and less than 1 (got '2')",
    ),
]


@pytest.mark.parametrize(("options", "sentence"), TRAIN, ids=[options for options, _ in TRAIN])
def test_train(options: str, sentence: str, trained: list[Hyperparameters], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *options.split()]) == 2
    assert capsys.readouterr() == ("", f"ahx: error: {sentence}\n")
    assert not trained


def test_bytes_that_are_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--rule", "caf\udce9"]) == 2
    assert capsys.readouterr().err == (
        "ahx: error: 'caf\\udce9' is not UTF-8 text; type it on a terminal that is set to UTF-8\n"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("trian --rule copy", "unknown verb 'trian'; did you mean train?"),
        ("frobnicate", f"unknown verb 'frobnicate'; the verbs are {', '.join(VERBS)}"),
        ("--verison", f"unknown option '--verison'; the verbs are {', '.join(VERBS)}"),
        ("train --config missing.toml", "cannot read missing.toml: no such file or directory; check the path"),
        *(
            (
                f"{words} s3://b/x",
                f"{words.split()[-1]}: must be a path on this machine (got 's3://b/x'); see `ahx {verb} --help`",
            )
            for words, verb in (
                ("jobs collect s1 --to", "jobs collect"),
                ("eval x --csv", "eval"),
                ("aws --state", "aws"),
            )
        ),
    ],
)
def test_ahx(line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) in (1, 2)
    assert capsys.readouterr() == ("", f"ahx: error: {sentence}\n")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--name x --max_size 1.5", "--max-size: must be a whole number (got '1.5'); see `ahx probe --help`"),
        ("--name x --scale-by much", "--scale_by: must be a number (got 'much'); see `ahx probe --help`"),
        ("--name x --kind plan", "--kind: 'plan' is not one of plain, fancy; did you mean plain?"),
        ("--max-size 3", "the following arguments are required: --name; see `ahx probe --help`"),
        (
            "--name x -k 3",
            "unexpected argument '-k'; if it is an input, write it behind --; "
            "quote values with spaces, or see `ahx probe --help`",
        ),
    ],
)
def test_other_verbs(options: str, sentence: str, verb, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    verb(lambda args: 0)
    assert main(["probe", *options.split()]) == 2
    assert capsys.readouterr() == ("", f"ahx: error: {sentence}\n")

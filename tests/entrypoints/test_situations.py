"""What users and their machines do: each gets a sentence and the right exit code, and no word of a bug."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AHX = f"{sys.executable} -m entrypoints.main"
TRAIN = f"{AHX} train --rule copy --max_steps 12"
C = "env LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"
ROOT = Path(__file__).parents[2]


def ahx(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": f"stub:{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environ, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL
    )
    for word in ("Traceback", "a bug in ahx", "Exception ignored"):
        assert word not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        # Locales and streams
        (f"{C} {AHX} rules apply @rule.txt AB", 0, "\\xe9B"),
        (f"{C} {AHX} rules show @rule.txt", 0, "A -> \\xe9"),
        (f"{C} {AHX} rules apply 'A -> é' AB", 0, "\\xe9B"),
        (f"{C} {AHX} rules apply @é.txt AB", 1, "this machine's locale (ascii) cannot write '\\xe9'; set PYTHONUTF8=1"),
        (f"PYTHONIOENCODING=ascii:strict {AHX} rules apply @rule.txt AB", 0, "\\xe9B"),
        (f"{AHX} rules apply sort CAB <&-", 0, "ABC"),
        (f"{AHX} rules >&-", 0, ""),
        (f"{AHX} rulez 2>&-", 2, ""),
        (f"{AHX} rules apply sort - <&- >&- 2>&-", 0, ""),
        (f"yes AB | head -100000 | {AHX} rules apply sort | head -1; exit ${{PIPESTATUS[2]}}", 141, "AB"),
        (f"{AHX} rules >/dev/full", 1, "the disk is full"),
        (f"{AHX} rulez 2>/dev/full", 2, ""),
        (f"{AHX} rules >/dev/full 2>&1", 1, ""),
        # Folders and files
        (f"mkdir gone; cd gone; rmdir ../gone; PYTHONPATH={ROOT} {TRAIN}", 1, "the current folder was deleted; go"),
        (f"{AHX} rules apply @folder A", 1, "cannot read the rule file folder: is a directory; check the path"),
        (f"{AHX} rules apply @loop A", 1, "loop: too many levels of symbolic links; check the path"),
        (f"{AHX} train --config folder", 1, "cannot read folder: is a directory; check the path"),
        (f"{AHX} sweep folder", 1, "cannot read folder: is a directory; check the path"),
        (f"{AHX} gen-data --rule copy rule.txt/data", 1, "cannot write rule.txt/data_train.txt: "),
        (f"{AHX} gen-data --rule copy {'a' * 300}", 1, "name too long; "),
        # What stands in files
        (f"{AHX} train --hyperparameters_json deep.json", 2, "deep.json is not valid JSON: it is nested too deeply"),
        (f"{AHX} train --hyperparameters_json huge.json", 2, "huge.json is not valid JSON: it has a number of"),
        (f"{AHX} train --config deep.toml", 2, "deep.toml is not valid TOML: it is nested too deeply"),
        (f"{AHX} train --config huge.toml", 2, "huge.toml is not valid TOML: it has a number of thousands of digits"),
        (f"{AHX} sweep deep.toml", 2, "deep.toml is not valid TOML: it is nested too deeply"),
        (f"{AHX} train --config nul.toml", 2, "model_out: must be text in UTF-8, without NUL (got 'a\\x00b'"),
        (f"{AHX} train --hyperparameters_json surrogate.json", 2, "rule: must be text in UTF-8, without NUL (got "),
        (f"{AHX} train --config latin.txt", 2, "latin.txt is not UTF-8 text (byte 0); save it as UTF-8"),
        (f"SM_HP_RULE=$'\\xff' {AHX} train --max_steps 12", 2, "rule: must be text in UTF-8, without NUL (got '"),
        (f"SM_HP_RULE=$(head -c 20000 /dev/zero | tr '\\0' '[') {AHX} train", 2, "cannot read the rule: "),
        (f"{AHX} rules apply sort CAB --max-steps {'9' * 5000}", 2, "--max-steps: must be a whole number (got '999"),
        # Limits
        (f"ulimit -n 6; {AHX} rules apply sort CAB", 0, "ABC"),
        (f"ulimit -v 150000; {TRAIN}", 1, "memory ran out; use a smaller model"),
        # Packages that are not there, or broken
        ("broken torch 'raise OSError(\"libx.so: cannot open\")'; " + TRAIN, 1, "torch cannot be loaded (OSError: lib"),
        ("broken torch 'def f(:'; " + TRAIN, 1, "torch cannot be loaded (SyntaxError: invalid syntax"),
        ("broken torch 'import nowhere'; " + TRAIN, 1, "torch cannot be loaded (ModuleNotFoundError: No module named"),
        ("broken torch 'raise OSError(24, \"Too many open files\")'; " + TRAIN, 1, "raise the limit: ulimit -n 1024"),
        ("broken torch 'raise KeyboardInterrupt'; " + TRAIN, 130, "interrupted"),
        ("broken numpy 'raise ImportError(\"PLEASE READ\")'; " + TRAIN, 1, "numpy cannot be loaded (ImportError: PLE"),
        ("broken pydantic 'raise AttributeError(1)'; " + TRAIN, 1, "pip install --force-reinstall pydantic=="),
        ("broken moto 'raise RuntimeError(1)'; " + f"{AHX} aws --port 0", 1, "moto cannot be loaded (RuntimeError: 1)"),
        # SageMaker's files
        ("tree", 2, "inputdataconfig.json is missing; SageMaker writes it"),
        ("tree inputdataconfig '['", 2, "inputdataconfig.json is not valid JSON"),
        ("tree hyperparameters \"$(cat deep.json)\"", 2, "hyperparameters.json is not valid JSON: it is nested too"),
        ("tree hyperparameters '[]'", 2, "hyperparameters.json must hold one JSON object"),
        ("tree resourceconfig '{\"hosts\": 5}'", 2, "resourceconfig.json must list `hosts`"),
        (
            "mkdir -p opt/checkpoints; exec 9>opt/checkpoints/.training.lock; flock 9; "
            'tree resourceconfig \'{"hosts": ["algo-1"], "current_host": "algo-1"}\'',
            1, "checkpoints is being trained into by another process; wait for it, stop it, or choose another place",
        ),
        ("mkdir -p opt/input/config/inputdataconfig.json; tree", 1, "config.json: is a directory; check the path"),
    ],
)  # fmt: skip
def test_a_sentence_and_the_right_code(line: str, code: int, said: str, tmp_path: Path) -> None:
    texts = {
        "rule.txt": "A -> é\n",
        "é.txt": "A -> é\n",
        "deep.json": "[" * 100_000,
        "huge.json": f'{{"seed": {"9" * 5000}}}',
        "deep.toml": f"rule = {'[' * 100_000}",
        "huge.toml": f"seed = {'9' * 5000}",
        "nul.toml": 'rule = "copy"\nmodel_out = "a\\u0000b"\n',
        "surrogate.json": '{"rule": "A -> \\ud800"}',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    helpers = f"""
        broken() {{ mkdir -p stub/$1; echo "$2" > stub/$1/__init__.py; }}
        tree() {{
            mkdir -p opt/input/config
            [ -z "$1" ] || for file in inputdataconfig hyperparameters resourceconfig; do
                echo '{{"rule": "copy"}}' > opt/input/config/$file.json
            done
            [ "$1" = inputdataconfig ] || [ -z "$1" ] || echo '{{}}' > opt/input/config/inputdataconfig.json
            [ -z "$1" ] || echo "$2" > opt/input/config/$1.json
            SAGEMAKER_BASE_DIR=$PWD/opt {sys.executable} -m entrypoints.container
        }}
    """
    done = ahx(helpers + line, tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr

"""The wheel in an empty environment, outside the clone: what README promises first, and the Python interface."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_works_outside_the_clone(tmp_path: Path) -> None:
    def run(*words: str | Path, **more: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment | more)
        assert done.returncode == 0, f"{words}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    environment = {"PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    kept = ("PIP_", "SSL_", "HTTPS_PROXY", "NO_PROXY", "XDG_CONFIG")
    environment |= {name: value for name, value in os.environ.items() if name.startswith(kept)}
    source = tmp_path / "source"  # builds leave files behind
    for folder in ("src", "entrypoints", "container", "infra"):
        shutil.copytree(ROOT / folder, source / folder)
    for file in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / file, source)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    files = (path.relative_to(source / "src") for path in (source / "src").rglob("*") if path.is_file())
    data = {str(path) for path in files if path.suffix not in (".py", ".pyc") and "egg-info" not in str(path)}
    assert data - set(zipfile.ZipFile(wheel).namelist()) == set()
    run(sys.executable, "-m", "venv", "venv")
    run(ROOT / "requirements" / "install.sh", "venv", wheel)
    assert not re.search("^nvidia", run("venv/bin/pip", "list"), re.MULTILINE)

    readme = (ROOT / "README.md").read_text("utf-8").partition("## I have a rule")[2]
    block = re.findall(r"```\n(.*?)```", readme, re.DOTALL)[0]
    lines = [line for line in block.splitlines() if not line.startswith("source ")]
    assert len(lines) == 5
    shown = run("bash", "-e", "-c", "\n".join(lines))
    assert "exact match    10,470 / 10,470  100.00 %" in shown
    assert shown.splitlines()[-1] == "BABBBAB"
    assert "halted" in run("ahx", "interpret", "--machine", "1RB1LB_1LA0LC_1RZ1LD_1RD0RA")
    script = "import ahx; m = ahx.load('runs/mine'); print(ahx.__file__, m('ABCA'), m.attention('A').weights.shape)"
    assert run("python", "-c", script).split()[1:] == ["BABBBAB", "(2,", "4,", "7,", "7)"]
    assert (tmp_path / "runs" / "mine" / "README.md").read_text().count("Python")

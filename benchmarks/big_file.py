"""A data file larger than memory: how fast it is tokenised, how fast batches come, and how much memory that takes.

    python benchmarks/big_file.py [--size-gb 2] [--rule double_a] [--alphabet ...] [--folder FOLDER]

Each stage runs in a process of its own, whose peak resident memory is what the system reports for it. The file has
distinct random lines, so that nothing is gained by remembering them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_BATCHES, _BATCH_SIZE = 20_000, 32
_LINES_AT_ONCE = 200_000


def write_file(path: Path, size: int, alphabet: str) -> None:
    """At least `size` bytes of lines of double_a: every first symbol of the alphabet comes twice in the output."""
    from ahx.data.samples.sampler import Sampler

    rng, sampler, doubled = np.random.default_rng(0), Sampler(alphabet, 1, 30), alphabet[0]
    with open(path, "w", encoding="utf-8") as file:
        while file.tell() < size:
            texts = sampler.draw(rng, _LINES_AT_ONCE)
            file.write("".join([f"{text},{text.replace(doubled, 2 * doubled)}\n" for text in texts]))


def fit_stage(path: Path) -> dict[str, float]:
    """Find teacher and vocabulary."""
    from ahx.data.files.fit import fit_once

    fit_once([path], None, True)
    return {}


def build_stage(path: Path) -> dict[str, float]:
    """Tokenise the file into its cache."""
    from ahx.data.files.cache import open_cache
    from ahx.data.files.fit import fit_once

    cache = open_cache(path, *fit_once([path], None, True))
    return {"rows": len(cache), "tokens": cache.tokens}


def draw_stage(path: Path) -> dict[str, float]:
    """Open the finished cache and draw batches from all over it."""
    from ahx.data.files.cache import open_cache
    from ahx.data.files.fit import fit_once
    from ahx.data.files.source import FileSource
    from ahx.data.token_rows import FlatRows

    teacher, tokenizer = fit_once([path], None, True)
    cache = open_cache(path, teacher, tokenizer)
    samples = FileSource(cache, cache, teacher, tokenizer, seed=0)
    begin = time.perf_counter()
    tokens = sum(FlatRows.of(samples.batch(step, _BATCH_SIZE)).padded().size for step in range(_BATCHES))
    return {"batches_per_s": _BATCHES / (time.perf_counter() - begin), "tokens_drawn": tokens}


_STAGES = {"fit": fit_stage, "build": build_stage, "draw": draw_stage}


def measured(stage: str, path: Path) -> dict[str, float]:
    """Run one stage in a new process: its figures, seconds, and peak resident memory in MB."""
    done = subprocess.run(
        [sys.executable, __file__, "--stage", stage, "--path", str(path)], check=True, capture_output=True, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def run_stage(stage: str, path: Path) -> None:
    """What the new process does."""
    begin = time.perf_counter()
    figures = _STAGES[stage](path)
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    seconds = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time()}
    print(json.dumps(figures | seconds | {"peak_mb": peak / 1e6}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-gb", type=float, default=2.0, help="size of the file in 10^9 bytes (2)")
    parser.add_argument("--alphabet", default="ABCDEFGHIJKLMNOPQRSTUVWXYZ", help="symbols of the inputs (A to Z)")
    parser.add_argument("--folder", help="where there is room for four times the size (the temporary folder)")
    parser.add_argument("--stage", choices=_STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        run_stage(args.stage, args.path)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "big.txt"
        begin = time.perf_counter()
        write_file(path, int(args.size_gb * 1e9), args.alphabet)
        size = path.stat().st_size / 1e6
        print(f"wrote {size:,.0f} MB in {time.perf_counter() - begin:.0f} s")
        for stage in _STAGES:
            figures = measured(stage, path)
            speed = f"{size / figures['seconds']:8.1f} MB/s" if stage != "draw" else ""
            shown = ("seconds", "cpu_seconds", "peak_mb")
            rest = ", ".join(f"{name} {value:,.0f}" for name, value in figures.items() if name not in shown)
            times = f"{figures['seconds']:7.1f} s {figures['cpu_seconds']:7.1f} CPU s"
            print(f"{stage:6} {times} {speed:14} peak {figures['peak_mb']:6.0f} MB  {rest}", flush=True)
        cache = sum(part.stat().st_size for part in Path(f"{path}.ahxcache").rglob("*") if part.is_file()) / 1e6
        print(f"the cache takes {cache:,.0f} MB, {os.cpu_count()} cores, numpy {np.__version__}")


if __name__ == "__main__":
    main()

"""Interpreters of rules that rewrite strings: training, and the errors of single steps of programs never seen.

    python benchmarks/string_interpreters.py [--rules markov-interpreter] [--seeds 0 1 2] [--programs 17000]

Each is trained by `ahx train` in a process of its own, on one thread, and judged at the lengths of training and at ten
times these: three strings for each held-out program, two steps each. CPU seconds of training are those of the whole
process, the start of Python and torch included. A program counts once, whatever its letters are called.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

RULES = ("substitution-interpreter", "markov-interpreter")


def train(rule: str, seed: int, folder: str) -> float:
    """Train with the defaults; the CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "entrypoints.main", "train", "--rule", rule, "--seed", str(seed)]
    command += ["--threads", "1", "--model_out", folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def judge(rule: str, folder: str, programs: int) -> None:
    """Print errors at the lengths of training, and at ten times these."""
    import torch

    from ahx.data.programs.program_writer import Runs
    from ahx.data.programs.string_programs import Sizes
    from ahx.evaluation.interpreting import judge_steps
    from ahx.evaluation.trained import load_trained

    trained = load_trained(folder, trusted=None)
    torch.set_num_threads(1)
    # There are few small substitutions, so most of those that are drawn would be the same ones.
    sizes = Sizes() if rule == "markov-interpreter" else Sizes(letters=(4, 6), rules=(3, 6))
    least, longest = trained.training_lengths()
    heads, n_tokens = "/".join(trained.model.config.heads), len(trained.tokenizer)
    print(f"  {sum(p.numel() for p in trained.model.parameters()):,} parameters, heads {heads}, {n_tokens} tokens")
    for lengths in ((least, longest), (10 * longest, 10 * longest)):
        began = time.process_time()
        report = judge_steps(trained, sizes, Runs(3, 2, lengths), programs, seed=1, n_mistakes=3)
        print(
            f"  {lengths[0]}-{lengths[1]} symbols: {report.errors:,} errors in {report.steps:,} steps of "
            f"{report.programs:,} programs (below {report.bound:.2g} with 95 % confidence), least margin "
            f"{report.margin:.2f}; {time.process_time() - began:.0f} CPU s",
            flush=True,
        )
        for mistake in report.mistakes:
            print(f"    {mistake.program}|{mistake.before}: expected {mistake.expected}, got {mistake.got}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", nargs="+", default=RULES, choices=RULES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--programs", type=int, default=17_000)
    parser.add_argument("--keep", metavar="FOLDER", help="Leave the models there, and judge those that are there.")
    options = parser.parse_args()
    for rule in options.rules:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as temporary:
                folder = f"{options.keep or temporary}/{rule}-{seed}"
                known = os.path.isdir(folder)
                cost = "trained before" if known else f"{train(rule, seed, folder):.0f} CPU s of training"
                print(f"{rule}, seed {seed}: {cost}", flush=True)
                judge(rule, folder, options.programs)


if __name__ == "__main__":
    main()

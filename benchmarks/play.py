"""From a key to the new picture in `ahx play`, in a real browser (Chromium and Playwright of the dev extra).

    python benchmarks/play.py [--rule double_a] [--tokens 50] [--keys 30] [RUN]

A model of the rule is trained unless RUN is given. A key is pressed at the end of an input whose row has so many
tokens, and the next one when the page has painted the answer. Times are from the key's event to the frame after the
change; `server` is the part from the request to the whole answer, `compute` that of `rewriting` alone.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import threading
import time

from ahx.evaluation.trained import Trained, load_trained
from ahx.play.server import Playground
from ahx.play.written import rewriting
from ahx.training.run import run
from ahx.training.settings import from_keywords

_WATCH = """
window.took = [];
let began = 0;
document.getElementById("text").addEventListener("input", () => { began = performance.now(); }, true);
new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => {
  if (began) window.took.push(performance.now() - began);
  began = 0;
}))).observe(document.getElementById("tokens"), { childList: true });
"""


def inputs(trained: Trained, tokens: int) -> list[str]:
    """Two inputs that differ in the last symbol, whose rows have about `tokens` tokens."""
    first, second = trained.tokenizer.alphabet[0], trained.tokenizer.alphabet[1]
    text = ""
    while len(rewriting(trained, text + first)["tokens"]) < tokens:
        text += second if len(text) % 2 else first
    return [text + first, text + second]


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", nargs="?")
    parser.add_argument("--rule", default="double_a")
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--keys", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not options.run:
            until = {"max_len": 20, "until_exact": 1000, "num_epochs": 20}
            run(from_keywords({"rule": options.rule, "model_out": folder, **until}), quiet=True)
        trained = load_trained(options.run or folder, trusted=None)
    texts = inputs(trained, options.tokens)
    compute = []
    for number in range(options.keys):
        began = time.perf_counter()
        answer = rewriting(trained, texts[number % 2])
        compute.append(1000 * (time.perf_counter() - began))
    with Playground(trained, 0) as server, sync_playwright() as play:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(bypass_csp=True)
        page.goto(server.address)
        page.fill("#text", texts[0])
        page.wait_for_timeout(500)
        page.evaluate(_WATCH)
        for number in range(options.keys):
            page.press("#text", "Backspace")
            page.wait_for_function(f"window.took.length === {2 * number + 1}")
            page.keyboard.type(texts[(number + 1) % 2][-1])
            page.wait_for_function(f"window.took.length === {2 * number + 2}")
        took = page.evaluate("window.took")
        resources = page.evaluate("performance.getEntriesByType('resource').map((one) => [one.name, one.duration])")
        fetched = [duration for name, duration in resources if name.endswith("/write")][-len(took) :]
        browser.close()
        server.shutdown()
    size = len(json.dumps(answer)) / 1000
    print(f"{len(answer['tokens'])} tokens, answers of {size:.0f} kB, {len(took)} keys, median (90th percentile), ms:")
    for name, values in (("key to picture", took), ("server", fetched), ("compute", compute)):
        ninth = statistics.quantiles(values, n=10)[-1]
        print(f"  {name}: {statistics.median(values):.0f} ({ninth:.0f})")


if __name__ == "__main__":
    main()

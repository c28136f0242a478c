"""How fast are loglikelihoods asked? Ours beside lm-eval's own `local-completions`, on a server that answers at once.

    python -m vllm_quality_tests.benchmarks.eval_throughput --items 1000 --concurrency 8 --repeats 3

Both get the same requests (items of four choices, as lm-eval's OpenBookQA has them) at the same concurrency, in turns, in
this process; the server is a process of its own and has /tokenizer_info, with which lm-eval tokenizes through /tokenize.
Of the repeats, the median is shown. That both find the same likelihoods is checked.
"""

import argparse
import logging
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from vllm_quality.eval.answers import Asking
from vllm_quality.eval.client import RetryPolicy
from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.lm_endpoint import Log, make_lm
from vllm_quality.serving.endpoint import Endpoint
from vllm_quality_tests.servers.instant import MODEL, instant_server

_WORDS = [
    "the",
    "sun",
    "plant",
    "water",
    "heat",
    "animal",
    "rock",
    "light",
    "energy",
    "cold",
    "wind",
    "tree",
    "soil",
    "sound",
    "물",
    "빛",
    "바람",
    "나무",
]
Pairs = list[tuple[float, bool]]


def requests_of(items: int, *, choices: int = 4, seed: int = 1) -> list[Any]:
    """lm-eval's requests for so many made-up items: a question of 24 words each, choices of three."""
    from lm_eval.api.instance import Instance

    draw = random.Random(seed)
    requests = []
    for number in range(items):
        question = f"Question: {number} " + " ".join(draw.choices(_WORDS, k=24)) + "\nAnswer:"
        for choice in range(choices):
            pair = (question, f" {' '.join(draw.choices(_WORDS, k=3))}")
            requests.append(Instance("loglikelihood", {}, pair, choice, ("bench", number, 1)))
    return requests


def ours(base_url: str, concurrency: int) -> Callable[[Sequence[Any]], Pairs]:
    """Our model class."""
    capabilities = ("chat", "completions", "echo_logprobs", "tokenize")
    endpoint = Endpoint(base_url, MODEL, "vllm", "0", capabilities, 4096)
    lm = make_lm(Asking(endpoint, None, concurrency, 60.0, RetryPolicy()), Log(), chat=False)
    return lambda requests: lm.loglikelihood(requests)


def theirs(base_url: str, concurrency: int, batch_size: int) -> Callable[[Sequence[Any]], Pairs]:
    """lm-eval's, as `--model local-completions --model_args base_url=…,num_concurrent=…` makes it."""
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    lm = LocalCompletionsAPI(
        model=MODEL, base_url=f"{base_url}/v1/completions", num_concurrent=concurrency, batch_size=batch_size
    )
    return lambda requests: lm.loglikelihood(requests, disable_tqdm=True)


def timed(ask: Callable[[Sequence[Any]], Pairs], requests: Sequence[Any]) -> tuple[float, Pairs]:
    """Seconds, and what was found."""
    start = time.perf_counter()
    found = ask(requests)
    return time.perf_counter() - start, found


def compare(base_url: str, items: int, concurrency: int, batch_size: int, repeats: int) -> dict[str, str]:
    """A line of the table: items per second of each, and their ratio."""
    requests = requests_of(items)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        spent, mine = timed(ours(base_url, concurrency), requests)
        seconds["ours"].append(spent)
        spent, other = timed(theirs(base_url, concurrency, batch_size), requests)
        seconds["theirs"].append(spent)
        differing = sum(abs(a - b) > 1e-6 for (a, _), (b, _) in zip(mine, other, strict=True))
        if differing:
            raise SystemExit(f"{differing} of {len(requests)} likelihoods differ")
    rate = {name: items / statistics.median(found) for name, found in seconds.items()}
    return {
        "concurrency": str(concurrency),
        "their batch_size": str(batch_size),
        "ours, items/s": f"{rate['ours']:.0f}",
        "local-completions, items/s": f"{rate['theirs']:.0f}",
        "ratio": f"{rate['ours'] / rate['theirs']:.2f}",
    }


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[8])
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1], help="of local-completions")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    prepare_lm_eval(None)
    os.environ.setdefault("OPENAI_API_KEY", "none")
    logging.disable(logging.WARNING)
    with instant_server() as base_url:
        rows = [
            compare(base_url, given.items, concurrency, batch_size, given.repeats)
            for concurrency in given.concurrency
            for batch_size in given.batch_size
        ]
    for cells in (list(rows[0]), ["---:"] * len(rows[0]), *(list(row.values()) for row in rows)):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

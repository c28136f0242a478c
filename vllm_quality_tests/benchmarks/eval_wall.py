"""What does our loglikelihood runner cost on a real vLLM, beyond the work itself?

    python -m vllm_quality_tests.benchmarks.eval_wall --items 1000 --concurrency 8 --slices 10

The same items of PIQA, in slices by turns: through the runner (tokenizing, batching, reading the answers), and as bare
requests, tokenized beforehand, that the load engine's client sends in a closed loop at the same concurrency. Wanted: at
most 1.15 over all slices. By turns, since a machine is rarely as busy now as it was ten minutes ago; vLLM reads no prefix
cache for prompts whose logprobs are asked for, so that neither warms the other.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vllm_quality.eval.answers import Asking
from vllm_quality.eval.client import RetryPolicy, in_order
from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.lm_endpoint import Log, make_lm
from vllm_quality.eval.token_scores import TokenScorer, echo_body, split
from vllm_quality.load.scenario import Timeouts
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.exchange import Exchange
from vllm_quality.load.wire.target import target_of
from vllm_quality.serving.endpoint import Endpoint, identify
from vllm_quality_tests.live.benchmark_rows import BENCHMARKS, ensure_benchmarks
from vllm_quality_tests.live.models import ensure_models
from vllm_quality_tests.live.servers import vllm_server

Item = tuple[str, list[str]]


def items_of(tasks: Path, count: int) -> list[Item]:
    """Contexts and their continuations, from PIQA."""
    piqa = BENCHMARKS[0]
    rows = map(json.loads, (tasks / f"{piqa.name}.jsonl").read_text(encoding="utf-8").splitlines()[:count])
    return [(piqa.prompt.replace("{{question}}", row["question"]), [f" {c}" for c in row["choices"]]) for row in rows]


def runner_s(endpoint: Endpoint, items: Sequence[Item], concurrency: int) -> float:
    """Seconds that the runner takes."""
    from lm_eval.api.instance import Instance

    requests = [
        Instance("loglikelihood", {}, (context, continuation), index, ("piqa", number, 1))
        for number, (context, continuations) in enumerate(items)
        for index, continuation in enumerate(continuations)
    ]
    log = Log()
    lm = make_lm(Asking(endpoint, None, concurrency, 600.0, RetryPolicy()), log, chat=False)
    start = time.perf_counter()
    lm.loglikelihood(requests)
    seconds = time.perf_counter() - start
    if any(log.failed(request) for request in requests):
        raise SystemExit("a request failed")
    return seconds


async def bodies_of(endpoint: Endpoint, items: Sequence[Item], concurrency: int) -> list[bytes]:
    """What the runner sends for each item, ready to be sent again."""

    async def body(item: Item) -> bytes:
        pairs = [split(item[0], continuation) for continuation in item[1]]
        tokenized = await scorer.tokenize(pairs[0][0], [text for _, text in pairs])
        sent: dict[str, Any] = echo_body(endpoint.model, tokenized.prompts)
        del sent["model"]  # the target says it
        return json.dumps(sent).encode()

    async with Asking(endpoint, None, concurrency, 600.0, RetryPolicy()).client() as client:
        scorer = TokenScorer(client, endpoint)
        return await in_order(items, body, workers=concurrency)


async def engine_s(endpoint: Endpoint, bodies: Sequence[bytes], concurrency: int) -> float:
    """Seconds that the load engine's client takes for the bodies, so many in flight."""
    target = target_of(endpoint, "/v1/completions", None)
    client = Client(target, Timeouts(first_token=600, stall=600, total=600))
    if (refusal := await client.open()) is not None:
        raise SystemExit(refusal)
    await client.warm(concurrency)
    left, ended, done = iter([target.request(body) for body in bodies]), list[Exchange](), asyncio.Event()

    def send() -> None:
        request = next(left, None)
        if request is not None:
            now = time.perf_counter()
            client.send(Exchange(0, now, now, request, end))

    def end(exchange: Exchange) -> None:
        ended.append(exchange)
        send()
        if len(ended) == len(bodies):
            done.set()

    start = time.perf_counter()
    for _ in range(min(concurrency, len(bodies))):
        send()
    await done.wait()
    seconds = time.perf_counter() - start
    await client.close()
    if any(exchange.status != 200 for exchange in ended):
        raise SystemExit("a request failed")
    return seconds


def main() -> None:
    """Parse the arguments, measure in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--slices", type=int, default=10)
    given = parser.parse_args()
    prepare_lm_eval(None)
    items = items_of(ensure_benchmarks(), given.items)
    found: dict[str, list[float]] = {"load engine": [], "runner": []}
    with vllm_server(ensure_models().good) as base_url:
        endpoint = identify(base_url, None, None, 120)
        runner_s(endpoint, items[:32], given.concurrency)  # the first requests compile
        bodies = asyncio.run(bodies_of(endpoint, items, given.concurrency))
        for number in range(given.slices):
            mine, theirs = items[number :: given.slices], bodies[number :: given.slices]
            rounds: dict[str, Callable[[], float]] = {
                "load engine": lambda: asyncio.run(engine_s(endpoint, theirs, given.concurrency)),  # noqa: B023
                "runner": lambda: runner_s(endpoint, mine, given.concurrency),  # noqa: B023
            }
            for name in sorted(rounds, reverse=bool(number % 2)):
                found[name].append(rounds[name]())
    for name, seconds in found.items():
        print(f"{name}: {sum(seconds):.1f} s ({', '.join(f'{value:.1f}' for value in seconds)})")
    ratio = sum(found["runner"]) / sum(found["load engine"])
    print(
        f"{len(items)} items, concurrency {given.concurrency}: the runner takes {ratio:.3f} times the load engine's time"
    )


if __name__ == "__main__":
    main()

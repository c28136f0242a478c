"""What `deepeval test run` on this folder needs: the golden file, the release that is asked, the judge.

The endpoint and the judge are those of the settings (VLLM_QUALITY_BASE_URL, VLLM_QUALITY_JUDGE_URL …).
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from vllm_quality.eval.answers import Answer, ask
from vllm_quality.eval.client import ModelClient, RetryPolicy
from vllm_quality.eval.deepeval_judge import make_deepeval_judge
from vllm_quality.eval.deepeval_run import sampling_of
from vllm_quality.eval.deepeval_tests.goldens import PACKAGED_GOLDENS, load_goldens
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.items import Item
from vllm_quality.eval.judge import Judge, judge_settings
from vllm_quality.eval.metric_config import configure_metrics
from vllm_quality.eval.metric_registry import MetricClass, load_metrics
from vllm_quality.serving.endpoint import EndpointError, identify
from vllm_quality.settings import Settings, load_settings

Result = TypeVar("Result")
Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--goldens FILE`."""
    parser.addoption("--goldens", type=Path, default=PACKAGED_GOLDENS, help="golden file in deepeval's format")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each golden."""
    if "golden" in metafunc.fixturenames:
        items = load_goldens(metafunc.config.getoption("--goldens"))
        metafunc.parametrize("golden", items, ids=[f"{number}-{item.id[:8]}" for number, item in enumerate(items, 1)])


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The settings, and deepeval's files below their home."""
    found = load_settings()
    prepare_deepeval(found.home / "work")
    return found


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Runs a coroutine function in one loop of its own, which clients live in; deepeval brings others along."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def work(start: Callable[[], Awaitable[Result]]) -> Result:
        async def main() -> Result:
            return await start()

        return asyncio.run_coroutine_threadsafe(main(), loop).result()

    yield work
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def judge(settings: Settings, run: Run) -> Iterator[Any]:
    """The judge as deepeval takes it, or None."""
    wanted, stack = judge_settings(settings), AsyncExitStack()
    if wanted is None:
        yield None
        return
    caller = wanted.client(
        concurrency=settings.eval_concurrency, timeout_s=settings.request_timeout_s, retry=RetryPolicy()
    )

    async def start() -> Any:
        asked = Judge(await stack.enter_async_context(caller), wanted.model)
        await asked.check_ready()
        return make_deepeval_judge(asked)

    yield run(start)
    run(stack.aclose)


@pytest.fixture(scope="session")
def metrics(settings: Settings) -> list[MetricClass]:
    """Every metric of the folders and of deepeval.json."""
    found = load_metrics([settings.metrics_dir] if settings.metrics_dir else [])
    return configure_metrics(found, settings.config_file("deepeval.json"))


@pytest.fixture(scope="session")
def answer_of(settings: Settings, run: Run) -> Iterator[Callable[[Item], Answer]]:
    """Asks the release."""
    if settings.base_url is None:
        raise EndpointError("No endpoint is given; set VLLM_QUALITY_BASE_URL.")
    endpoint = identify(settings.base_url, settings.model, settings.endpoint_key, settings.request_timeout_s)
    stack = AsyncExitStack()

    async def start() -> ModelClient:
        return await stack.enter_async_context(
            ModelClient(
                endpoint.base_url,
                settings.endpoint_key,
                concurrency=settings.eval_concurrency,
                timeout_s=settings.request_timeout_s,
            )
        )

    client = run(start)
    yield lambda item: run(lambda: ask(client, endpoint, item.messages, sampling_of(item)))
    run(stack.aclose)

"""Real servers for the live tier, started when first asked for and stopped at the end of the session.

| fixture         | what                                                                                     |
|-----------------|------------------------------------------------------------------------------------------|
| `models`        | folders of the good and of the noisy model, for `servers.vllm_server`                    |
| `vllm`          | base URL of vLLM serving the good model as "smollm2"                                     |
| `registry`      | an empty OCI registry: `registry.host`, `registry.push(tag, content)`                    |
| `s3`            | an S3 server with an empty bucket; `s3.environment` holds its credentials                |
| `clickhouse`    | results URL of a ClickHouse HTTP server, with user and password                          |
| `redis`         | address of an empty Redis, with its password                                             |
| `benchmarks`    | folder of lm-eval tasks over real rows, `include_path` of a suite                        |

What cannot be had on this machine skips its tests, with the reason; a server that does not come up fails them.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

import pytest

from vllm_quality_tests.live.benchmark_rows import ensure_benchmarks
from vllm_quality_tests.live.cache import Unavailable
from vllm_quality_tests.live.models import Models, ensure_models
from vllm_quality_tests.live.programs import ensure_redis, ensure_registry, ensure_s3
from vllm_quality_tests.live.servers import S3, Registry, oci_registry, s3_server, vllm_server
from vllm_quality_tests.servers import clickhouse_http
from vllm_quality_tests.servers.redis_server import serve_redis

T = TypeVar("T")


def or_skip(ensure: Callable[[], T]) -> T:
    """What `ensure` sets up; skips with the reason where it cannot be had."""
    try:
        return ensure()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session", autouse=True)
def _stop_servers_when_terminated() -> Iterator[None]:
    """SIGTERM ends the session as Ctrl-C does: with its servers stopped."""

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def models() -> Models:
    return or_skip(ensure_models)


@pytest.fixture(scope="session")
def benchmarks() -> Path:
    return or_skip(ensure_benchmarks)


@pytest.fixture(scope="session")
def vllm(models: Models) -> Iterator[str]:
    with vllm_server(models.good) as base_url:
        yield base_url


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    or_skip(ensure_registry)
    with oci_registry() as running:
        yield running


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    or_skip(ensure_s3)
    with s3_server() as running:
        yield running


@pytest.fixture
def redis() -> Iterator[str]:
    or_skip(ensure_redis)
    with serve_redis("live-password") as address:
        yield address


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse_http.running(tmp_path_factory.mktemp("clickhouse"), "live", "live-password") as url:
        yield url

"""The live servers speak the protocols that the project relies on, and the project's own clients understand them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.suites import Suite
from vllm_quality.releases.image import Image
from vllm_quality.releases.login import Credentials
from vllm_quality.releases.registry import RegistryClient
from vllm_quality.releases.transport import RegistryError
from vllm_quality.results.database import ResultStore
from vllm_quality.results.objects import ObjectsError
from vllm_quality.results.rows import ResultRow
from vllm_quality.results.s3_objects import S3Objects
from vllm_quality.serving.endpoint import identify
from vllm_quality_tests.live.conftest import or_skip
from vllm_quality_tests.live.programs import ensure_registry
from vllm_quality_tests.live.servers import S3, Registry, oci_registry

pytestmark = pytest.mark.live

FRANCE = "The capital of France is"


def ask(base_url: str, path: str, **body: Any) -> dict[str, Any]:
    answer = httpx.post(f"{base_url}{path}", json={"model": "smollm2", **body}, timeout=120)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_vllm_is_recognised_with_all_that_it_can_do(vllm: str) -> None:
    endpoint = identify(vllm, None, None, 120)
    assert (endpoint.engine, endpoint.model, endpoint.max_model_len) == ("vllm", "smollm2", 2048)
    assert endpoint.engine_version.startswith("0.32.0")
    assert set(endpoint.capabilities) == {"chat", "completions", "echo_logprobs", "tokenize"}


def test_vllm_echoes_a_log_probability_for_every_token_it_counts(vllm: str) -> None:
    tokens = ask(vllm, "/tokenize", prompt=FRANCE)
    answer = ask(vllm, "/v1/completions", prompt=FRANCE, max_tokens=1, echo=True, logprobs=1, temperature=0)
    first, *rest = answer["choices"][0]["logprobs"]["token_logprobs"]
    assert answer["usage"]["prompt_tokens"] == tokens["count"] == len(tokens["tokens"])
    assert first is None
    assert len(rest) == tokens["count"]  # every further token of the prompt, and the one generated
    assert all(value <= 0 for value in rest)


def test_vllm_counts_tokens_in_every_chunk_of_a_stream(vllm: str) -> None:
    body: dict[str, Any] = {"model": "smollm2", "prompt": FRANCE, "max_tokens": 12, "ignore_eos": True}
    body |= {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    with httpx.stream("POST", f"{vllm}/v1/completions", json=body, timeout=120) as answer:
        events = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert events.pop() == "[DONE]"
    counts = [json.loads(event)["usage"]["completion_tokens"] for event in events]
    assert counts == [*range(1, 13), 12]  # one for each token, and the last again with the usage of the whole


def test_vllm_does_better_than_chance_on_a_real_benchmark(vllm: str, benchmarks: Path, tmp_path: Path) -> None:
    suite = Suite(name="live_piqa", limit=60, include_path=benchmarks)
    endpoint = identify(vllm, None, None, 120)
    result = run_suite(suite, endpoint, None, profile="standard", concurrency=16, timeout_s=120, work_folder=tmp_path)
    assert result.problem is None
    assert result.metrics["eval/live_piqa/acc"] > 0.55


def test_the_registry_lists_two_releases_by_their_digests(registry: Registry) -> None:
    pushed = {f"release-1.{number}.0": registry.push(f"release-1.{number}.0", f"content {number}") for number in (0, 1)}
    assert pushed["release-1.0.0"] != pushed["release-1.1.0"]
    assert registry.tags() == sorted(pushed)
    with RegistryClient(Image(registry.host, "acme/vllm"), plain_http=True) as client:
        assert sorted(client.tags()) == sorted(pushed)
        assert client.digests(list(pushed)).digests == pushed
    assert registry.push("release-1.0.0", "content 2") not in pushed.values()


def test_a_registry_with_a_login_tells_strangers_nothing() -> None:
    or_skip(ensure_registry)
    with oci_registry(login=True) as registry:
        digest = registry.push("release-2.0.0", "private")
        image = Image(registry.host, "acme/vllm")
        assert registry.user is not None
        assert registry.password is not None
        with RegistryClient(image, Credentials(registry.user, SecretStr(registry.password)), plain_http=True) as client:
            assert client.digest("release-2.0.0") == digest
        with RegistryClient(image, plain_http=True) as stranger, pytest.raises(RegistryError):
            stranger.tags()


def test_s3_keeps_the_first_writer_and_turns_strangers_away(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    objects = S3Objects(s3.bucket, "live", s3.endpoint)
    assert objects.put("a/b.json", b"first")
    assert not objects.put("a/b.json", b"second")
    assert objects.get("a/b.json") == b"first"
    assert objects.list("a/") == ["a/b.json"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ObjectsError):
        S3Objects(s3.bucket, "live", s3.endpoint).get("a/b.json")


def test_clickhouse_over_http_keeps_one_row_per_metric(clickhouse: str) -> None:
    store = ResultStore(clickhouse)
    row = ResultRow("live-run", "release-1.0.0", "eval/live_piqa/acc", 0.625, datetime.now(UTC))
    store.write_results([row])
    store.write_results([row])
    assert store.results_of("live-run") == {"eval/live_piqa/acc": 0.625}
    counted = store.query("SELECT count() AS rows FROM vllm_eval.results FINAL WHERE run_id = 'live-run'")
    assert counted["rows"].to_list() == [1]

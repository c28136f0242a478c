"""A whole scenario over real sockets."""

import asyncio
import json
import logging
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.errors import UserError
from vllm_quality.load.errors import LoadError
from vllm_quality.load.result import LoadResult, Snapshot
from vllm_quality.load.run import comparable_hash, run_scenario
from vllm_quality.load.scenario import Scenario
from vllm_quality.load.tape import build_tape
from vllm_quality.results.rows import check_requests
from vllm_quality.serving.endpoint import Endpoint
from vllm_quality.verdict.metrics import definition_of
from vllm_quality_tests.load.asking import endpoint, scenario
from vllm_quality_tests.servers.sse import (
    DONE,
    LAST_CHUNK,
    End,
    Script,
    Seen,
    SseServer,
    chunk,
    good,
    head,
    text_event,
    usage_event,
    whole,
)

FIRST_S, GAP_S = 0.05, 0.02


def paced(seen: Seen) -> Script:
    """Three tokens, the first after 50 ms, the others 20 ms apart."""
    a, b, c = (chunk(text_event(text)) for text in "abc")
    return [FIRST_S, head() + a, GAP_S, b, GAP_S, c, chunk(usage_event(5, 3)), chunk(DONE), LAST_CHUNK]


def run(server: SseServer, api_key: str | None = None, **settings: object) -> LoadResult:
    return measure(scenario(**settings), endpoint(server.url), api_key)


def measure(wanted: Scenario, where: Endpoint, api_key: str | None = None, **options: Any) -> LoadResult:
    """Without calibration, which has its own test."""
    return run_scenario(wanted, where, api_key, **{"calibrate": False, **options})


def stage(result: LoadResult, name: str = "rate-50") -> dict[str, float]:
    prefix = f"load/quick/{name}/"
    return {path.removeprefix(prefix): value for path, value in result.metrics.items() if path.startswith(prefix)}


def test_an_open_loop_measures_what_the_server_did() -> None:
    with SseServer(paced) as server:
        result = run(server)
    metrics = stage(result)
    assert result.problem is None
    assert result.step == "load/quick"
    assert (metrics["ok_count"], metrics["requests_count"], metrics["success_ratio"]) == (10, 10, 1)
    # The server's own lateness on a busy machine is real, and so is measured.
    assert FIRST_S <= metrics["ttft_p50_s"] < FIRST_S + 0.1
    assert GAP_S * 0.8 <= metrics["tpot_p50_s"] < GAP_S + 0.05
    assert metrics["e2e_mean_s"] == pytest.approx(metrics["ttft_mean_s"] + 2 * metrics["tpot_mean_s"])
    assert all(definition_of(path) is not None for path in result.metrics)
    assert check_requests(result.requests).height == 10
    json.dumps(result.details)


def test_requests_leave_on_schedule_however_slow_the_answers() -> None:
    with SseServer([0.3, *good()]) as server:
        result = run(server)
    requests = result.requests
    assert requests["due_s"].to_list() == pytest.approx([index / 50 for index in range(10)])
    assert (requests["sent_s"] >= requests["due_s"]).all()
    # The last one leaves before the first one is answered.
    assert requests["sent_s"].max() < requests["first_token_s"].min()  # type: ignore[operator]


def test_a_closed_loop_keeps_its_streams_and_sends_every_request() -> None:
    streams = {"type": "concurrency", "streams": 3, "requests": 12}
    told: list[Snapshot] = []
    with SseServer(paced) as server:
        result = measure(scenario(stages=[streams]), endpoint(server.url), on_progress=told.append)
    assert {"warm-up", "concurrency-3"} >= {snapshot.part for snapshot in told}
    metrics = stage(result, "concurrency-3")
    assert (metrics["ok_count"], result.problem) == (12, None)
    events = [(row["sent_s"], 1) for row in result.requests.rows(named=True)]
    events += [(row["end_s"], -1) for row in result.requests.rows(named=True)]
    level, highest = 0, 0
    for _, step in sorted(events):
        level += step
        highest = max(highest, level)
    assert highest == 3
    first_sent = sorted(result.requests["sent_s"].to_list())[:3]
    # Spread over about one request's length, not a burst: each has its own time to wait for, and can only be later.
    assert first_sent[1] > 0.01
    assert first_sent[2] > 0.02


def test_warm_up_requests_are_in_no_figure() -> None:
    with SseServer(good()) as server:
        result = run(server, warmup_requests=4)
        assert len(server.seen) == 14
    assert result.requests.height == 10


def test_stages_follow_each_other() -> None:
    stages = [{"type": "constant", "rate": 50, "duration_s": 0.1}, {"type": "constant", "rate": 100, "duration_s": 0.1}]
    with SseServer(good()) as server:
        result = run(server, stages=stages)
    assert stage(result, "rate-50")["requests_count"] == 5
    assert stage(result, "rate-100")["requests_count"] == 10
    assert check_requests(result.requests).height == 15


def test_a_tape_replays_to_the_byte(tmp_path: Path) -> None:
    with SseServer(good()) as first:
        measured = measure(scenario(), endpoint(first.url), folder=tmp_path)
    with SseServer(good()) as second:
        replayed = measure(scenario(), endpoint(second.url), tape=tmp_path / "tape")
    assert [seen.body for seen in first.seen] == [seen.body for seen in second.seen]
    assert replayed.tape_sha256 == measured.tape_sha256


def test_what_is_comparable(tmp_path: Path) -> None:
    def hash_of(hardware: str = "h100", **settings: object) -> str:
        changed = scenario(**settings)
        return comparable_hash(changed, build_tape(changed, None, tmp_path), hardware)

    same = [hash_of(), hash_of(title="Else"), hash_of(trust={"min_ok": 3}), hash_of(abort_after_connect_errors=3)]
    assert len(set(same)) == 1
    others = [hash_of("a100"), hash_of(seed=1), hash_of(profile="full"), hash_of(output_tokens=4), hash_of(name="else")]
    assert len({*others, same[0]}) == 6
    with SseServer(good()) as server:
        assert measure(scenario(), endpoint(server.url), hardware="h100").comparable == same[0]


def test_prompts_are_token_exact_where_the_endpoint_counts() -> None:
    def script(seen: Seen) -> Script:
        if seen.path == "/tokenize":
            return [whole("200 OK", {"count": len(seen.asked["prompt"].split()) + 2})]
        return good()

    with SseServer(script) as server:
        result = measure(scenario(), endpoint(server.url, "tokenize"))
        sizes = {len(seen.asked["prompt"].split()) for seen in server.seen if seen.path != "/tokenize"}
    assert sizes == {6}
    assert result.problem is None


def test_counting_along_is_asked_for_and_done_without_where_it_is_refused() -> None:
    def picky(seen: Seen) -> Script:
        known = {"model", "max_tokens", "temperature", "ignore_eos", "stream", "prompt", "stream_options"}
        options = seen.asked.get("stream_options", {})
        if set(seen.asked) - known or set(options) - {"include_usage"}:
            return [whole("400 Bad Request", {"error": {"message": "Extra inputs are not permitted"}})]
        return good()

    with SseServer(picky) as server:
        result = measure(scenario(), endpoint(server.url, engine="vllm"))
    assert result.problem is None
    assert result.details["extras"] == {"stream_options": {"include_usage": True}}
    with SseServer(good()) as server:
        result = measure(scenario(), endpoint(server.url, engine="vllm"))
        salts = {seen.asked["cache_salt"] for seen in server.seen}
    assert len(salts) == 2  # the warm-up and the stage: neither finds what the other left in the cache
    assert result.details["extras"]["stream_options"]["continuous_usage_stats"] is True


def test_tokens_per_event_are_counted_by_the_server() -> None:
    script: Script = [head(), chunk(text_event("a b", 2)), 0.03, chunk(text_event(" c d", 4)), chunk(DONE), LAST_CHUNK]
    with SseServer(script) as server:
        result = run(server, output_tokens=4)
    metrics = stage(result)
    assert result.details["stages"]["rate-50"]["tokens_per_event"] == 2
    assert metrics["itl_mean_s"] * 2 == pytest.approx(metrics["tpot_mean_s"] * 3, rel=1e-3)


def test_missing_usage_falls_back_to_one_token_per_event() -> None:
    script = [head(), *[chunk(text_event("a"))] * 3, chunk(DONE), LAST_CHUNK]
    with SseServer(script) as server:
        result = run(server)
    assert result.requests["output_tokens"].to_list() == [3] * 10
    assert result.details["stages"]["rate-50"]["uncounted_answers"] == 10


def test_an_answer_that_is_not_streamed_has_an_end_and_no_first_token() -> None:
    reply = {"choices": [{"text": "hi"}], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
    with SseServer([0.02, whole("200 OK", reply)]) as server:
        result = run(server, streaming=False)
        assert all("stream" not in seen.asked and "stream_options" not in seen.asked for seen in server.seen)
    metrics = stage(result)
    assert (result.problem, metrics["success_ratio"]) == (None, 1)
    assert metrics["e2e_p50_s"] >= 0.02
    assert "ttft_p50_s" not in metrics
    assert metrics["output_tokens_per_s"] > 0


def test_failures_are_counted_by_class_and_the_rest_is_measured() -> None:
    scripts: list[Script] = [
        good(),
        [whole("500 Internal Server Error", {"error": {"message": "boom"}})],
        [head(), chunk(text_event("a")), End.CLOSE],
    ]
    answered = 0

    def script(seen: Seen) -> Script:
        nonlocal answered
        answered += 1
        return scripts[0] if answered <= 7 else scripts[answered % 2 + 1]

    with SseServer(script) as server:
        result = run(server)
    metrics = stage(result)
    assert (metrics["ok_count"], metrics["http_error_count"], metrics["truncated_count"]) == (6, 2, 2)
    assert metrics["success_ratio"] == pytest.approx(0.6)
    assert result.problem is None  # the release's own failures are judged, not set aside
    assert result.requests.filter(pl.col("outcome") == "http_error")["http_status"].to_list() == [500, 500]


def test_too_few_successes_are_no_measurement() -> None:
    def script(seen: Seen) -> Script:
        return good() if len(server.seen) < 4 else [whole("503 Unavailable", {"error": "overloaded"})]

    with SseServer(script) as server:
        result = run(server)
    assert result.problem == ("Only 2 of 10 requests succeeded (mostly http_error, 8 times): too few to measure speed.")


def test_a_server_killed_in_the_middle_gives_classes_and_an_early_end() -> None:
    def script(seen: Seen) -> Script:
        if len(server.seen) == 20:
            server.kill()
        return paced(seen)

    start = time.monotonic()
    with SseServer(script) as server:
        result = run(server, stages=[{"type": "constant", "rate": 40, "duration_s": 60}], abort_after_connect_errors=5)
    assert time.monotonic() - start < 10
    outcomes = set(result.requests["outcome"].unique())
    assert "ok" in outcomes
    assert "connect_error" in outcomes
    assert outcomes <= {"ok", "connect_error", "truncated"}
    assert result.problem is not None
    assert "requests: 5 requests in a row found no connection: connection refused." in result.problem
    metrics = stage(result, "rate-40")
    assert metrics["requests_count"] == result.requests.height < 200


def test_an_endpoint_that_is_not_there_is_one_sentence_at_once() -> None:
    with SseServer(good()) as server:
        url = server.url
    start = time.monotonic()
    with pytest.raises(LoadError, match=rf"^{url} cannot be reached \(connection refused\); check the address"):
        measure(scenario(), endpoint(url))
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            whole("401 Unauthorized", {"error": {"message": "bad key sk-secret"}}),
            "refused the API key (401: bad key ***)",
        ),
        (whole("404 Not Found", {"message": "no model m"}), "refuses the scenario's requests (404: no model m)"),
        (whole("400 Bad Request", {"message": "too long"}), "refuses the scenario's requests (400: too long)"),
    ],
)
def test_a_refusal_that_will_not_pass_ends_the_run_with_one_sentence(answer: bytes, sentence: str) -> None:
    with SseServer([answer]) as server, pytest.raises(LoadError) as caught:
        run(server, "sk-secret")
    assert sentence in str(caught.value)
    assert isinstance(caught.value, UserError)


def test_a_refusal_that_passes_during_the_warm_up_is_forgotten() -> None:
    def script(seen: Seen) -> Script:
        return [whole("503 Unavailable", {"error": "warming up"})] if len(server.seen) < 2 else good()

    with SseServer(script) as server:
        assert run(server, warmup_requests=2).problem is None


def test_an_endpoint_that_answers_no_warm_up_request_is_not_measured() -> None:
    with (
        SseServer([whole("503 Unavailable", {"error": "overloaded"})]) as server,
        pytest.raises(LoadError, match=r"answered none of 2 warm-up requests \(http_error: 503: overloaded\)"),
    ):
        run(server, warmup_requests=2)


def test_an_endpoint_without_the_scenarios_api_is_refused() -> None:
    with SseServer(good()) as server:
        chat_only = endpoint(server.url)
        object.__setattr__(chat_only, "capabilities", ("chat",))
        with pytest.raises(LoadError, match="does not answer /v1/completions"):
            measure(scenario(), chat_only)


def test_the_key_is_sent_and_is_in_no_result_log_or_repr(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even where the server repeats what it was sent, half cut off at the end of a long error."""
    key = "sk-very-secret-0123456789"
    replies = [
        {"error": {"message": f"Incorrect API key provided: {key}"}},
        {"error": {"message": "x" * 190 + key}},
    ]

    def script(seen: Seen) -> Script:
        assert seen.headers["authorization"] == f"Bearer {key}"
        if len(server.seen) < 7:
            return good()
        return [whole("500 Internal Server Error", replies[len(server.seen) % 2])]

    with caplog.at_level(logging.DEBUG), SseServer(script) as server:
        result = run(server, key)
    told = "".join([repr(result), repr(result.requests["error"].to_list()), json.dumps(result.details), caplog.text])
    told += "".join(capfd.readouterr())
    assert "Incorrect API key provided: ***" in told
    assert "sk-very" not in told


def test_it_runs_beside_a_running_loop_as_in_a_notebook() -> None:
    async def cell(url: str) -> LoadResult:
        return measure(scenario(), endpoint(url))

    with SseServer(good()) as server:
        assert asyncio.run(cell(server.url)).problem is None


class Interrupter:
    """Presses Ctrl-C so many times, each once a request has ended since."""

    def __init__(self, times: int) -> None:
        self.times, self.done = times, 0

    def __call__(self, snapshot: Snapshot) -> None:
        if self.times and snapshot.part == "rate-10" and snapshot.done > self.done:
            self.times, self.done = self.times - 1, snapshot.done
            raise KeyboardInterrupt


def test_an_interrupt_ends_the_run_with_what_was_measured() -> None:
    start = time.monotonic()
    stages = [{"type": "constant", "rate": 10, "duration_s": 60}, {"type": "constant", "rate": 5, "duration_s": 60}]
    with SseServer(good()) as server:
        result = measure(scenario(stages=stages), endpoint(server.url), on_progress=Interrupter(1))
    assert time.monotonic() - start < 20
    assert result.interrupted
    assert len(result.stages) == 1
    assert 1 <= result.stages[0].whole.ok == result.requests.height < 100
    assert result.problem is not None
    assert "it was ended by hand" in result.problem


def test_an_interrupt_before_anything_is_measured_goes_on_to_the_caller() -> None:
    def interrupt(snapshot: Snapshot) -> None:
        raise KeyboardInterrupt

    with SseServer([1.0, *good()]) as server, pytest.raises(KeyboardInterrupt):
        measure(scenario(), endpoint(server.url), on_progress=interrupt)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_process_is_left_behind(workers: int) -> None:
    with SseServer(good()) as server:
        measure(scenario(), endpoint(server.url), workers=workers)
    left = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "play.worker"], capture_output=True, check=False)
    assert left.stdout == b""


def test_a_killed_worker_is_one_sentence() -> None:
    def kill(snapshot: Snapshot) -> None:
        if snapshot.part == "rate-10" and snapshot.sent:
            subprocess.run(["pkill", "-KILL", "-P", str(os.getpid()), "-f", "play.worker"], check=False)

    stages = [{"type": "constant", "rate": 10, "duration_s": 60}]
    with (
        SseServer(good()) as server,
        pytest.raises(LoadError, match=r"Worker 0 of the load test was killed by signal 9; was there enough memory\?"),
    ):
        measure(scenario(stages=stages), endpoint(server.url), on_progress=kill)


def test_workers_share_a_load_and_their_results_are_one() -> None:
    stages = [
        {"type": "constant", "rate": 100, "duration_s": 0.5},
        {"type": "concurrency", "streams": 5, "requests": 33},
    ]
    with SseServer(paced) as server:
        result = measure(scenario(stages=stages), endpoint(server.url), workers=3)
        assert len({seen.body for seen in server.seen}) == 84
    assert (result.workers, result.problem) == (3, None)
    even, streams = result.stages
    assert even.frame["request_index"].to_list() == list(range(50))
    assert even.frame["due_s"].to_list() == pytest.approx([index / 100 for index in range(50)])
    assert (even.frame["sent_s"] >= even.frame["due_s"]).all()
    assert streams.frame["request_index"].to_list() == list(range(33))
    assert streams.whole.itl.count == 66


def test_users_come_one_by_one_and_stop_when_the_time_is_over() -> None:
    users = {"type": "users", "users": 4, "spawn_rate": 10, "runtime_s": 1.0}
    with SseServer(paced) as server:
        result = measure(scenario(stages=[users]), endpoint(server.url))
    frame = result.stages[0].frame.sort("sent_s")
    firsts = frame.head(1)["sent_s"][0], frame.filter(pl.col("sent_s") >= 0.3).height
    assert firsts[0] < 0.1
    assert firsts[1] > 0
    assert frame["sent_s"].max() < 1.0  # type: ignore[operator]
    assert result.problem is None


def test_entries_that_are_used_up_come_again_with_another_salt() -> None:
    streams = {"type": "concurrency", "streams": 2, "duration_s": 0.8, "pool": 3}
    with SseServer(good()) as server:
        result = measure(scenario(stages=[streams]), endpoint(server.url, engine="vllm"))
        salted = {(seen.asked["prompt"], seen.asked["cache_salt"]) for seen in server.seen}
    frame = result.stages[0].frame
    assert frame.height > 6
    assert frame["lap"].max() == (frame.height - 1) // 3
    assert len(salted) == frame.height + 1  # and the warm-up


def test_a_session_is_played_turn_by_turn_and_ends_where_a_turn_fails(tmp_path: Path) -> None:
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(3) for role in ("user", "assistant")]
    (tmp_path / "said.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    data = {"path": str(tmp_path / "said.jsonl"), "turns": "sessions"}
    streams = {"type": "concurrency", "streams": 1, "requests": 6}
    failing: Script = [whole("500 Internal Server Error", {"error": "boom"})]

    def script(seen: Seen) -> Script:
        return failing if len(server.seen) == 7 else good()

    with SseServer(script) as server:
        result = measure(
            scenario(stages=[streams], data=data, input_tokens=None, api="chat"), endpoint(server.url), tape=None
        )
        lengths = [len(seen.asked["messages"]) for seen in server.seen[1:]]
    frame = result.stages[0].frame.sort("sent_s")
    assert lengths[:5] == [1, 3, 5, 1, 3]
    assert frame["turn"].to_list()[:5] == [0, 1, 2, 0, 1]
    # The last turn failed here, and nothing followed a failed one.
    assert frame["outcome"].to_list().count("http_error") == 1


def test_the_client_is_calibrated_on_a_server_whose_timing_is_known() -> None:
    parts: list[str] = []
    with SseServer(paced) as server:
        result = measure(
            scenario(), endpoint(server.url), calibrate=True, on_progress=lambda told: parts.append(told.part)
        )
    assert "calibration" in parts
    found = result.calibration
    assert found is not None
    assert found.requests > 1
    assert 0 <= found.ttft_error_mean_s < 0.2
    assert found.cpu_us_per_chunk > 0
    assert result.requests.height == 10  # none of the calibration's


def test_a_client_that_cannot_keep_up_says_so() -> None:
    """The limit is set below what any machine can do."""
    with SseServer(good()) as server:
        result = run(server, trust={"client_lag_p99_s": 1e-9})
    assert result.problem is not None
    assert result.problem.startswith("client_bound: ")

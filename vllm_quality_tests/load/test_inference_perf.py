"""Configurations written for inference-perf are played as they are, or refused with every key that cannot be."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.load.data.lengths import Spread
from vllm_quality.load.errors import LoadError
from vllm_quality.load.inference_perf import Destination, InferencePerfRun, read_inference_perf
from vllm_quality.load.scenario import Data, SharedPrefix
from vllm_quality.load.schedule import Concurrency, Constant, Poisson, Trace

# The EKS document's own (scenario 5, real data), to the letter.
EKS = """
api: {type: completion, streaming: true}
data: {type: shareGPT}
load: {type: constant, stages: [{rate: 10, duration: 300}], num_workers: 4}
server: {type: vllm, model_name: qwen3-8b, base_url: "http://qwen3-vllm.default:8000", ignore_eos: true}
tokenizer: {pretrained_model_name_or_path: Qwen/Qwen3-8B}
storage: {simple_storage_service: {bucket_name: inference-perf-results, path: sharegpt-test/results}}
"""
SERVER = {"server": {"base_url": "http://127.0.0.1:1"}}
NORMAL = {"mean": 512, "std_dev": 128, "min": 128, "max": 2048}
SYNTHETIC = {"type": "synthetic", "input_distribution": NORMAL, "output_distribution": {"type": "fixed", "mean": 64}}
STAGES = {"stages": [{"rate": 2, "duration": 10}]}


@pytest.fixture(autouse=True)
def _no_conversations_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_QUALITY_CONVERSATIONS", raising=False)


def run_of(place: Path, text: str) -> InferencePerfRun:
    path = place / "config.yml"
    path.write_text(text, encoding="utf-8")
    return read_inference_perf(path)


def run_with(place: Path, **sections: Any) -> InferencePerfRun:
    """The run of a configuration that has these sections in place of usual ones."""
    return run_of(place, yaml.safe_dump({**SERVER, "data": SYNTHETIC, "load": STAGES, **sections}))


def refusal(place: Path, **sections: Any) -> str:
    with pytest.raises(LoadError) as caught:
        run_with(place, **sections)
    said = str(caught.value)
    assert said.startswith(f"{place / 'config.yml'} cannot be played as it is: ")
    assert "\n" not in said
    return said


def said_in(sentences: tuple[str, ...], what: str) -> bool:
    return any(what in sentence for sentence in sentences)


def test_the_eks_documents_configuration_runs_as_it_is(tmp_path: Path) -> None:
    run = run_of(tmp_path, EKS)
    scenario = run.scenario
    assert (scenario.profile, scenario.api, scenario.streaming, scenario.ignore_eos) == (
        "custom",
        "completions",
        True,
        True,
    )
    assert scenario.stages == (Constant(type="constant", rate=10, duration_s=300),)
    assert scenario.data == Data(path="sample", turns="first")
    assert (run.base_url, run.model, run.api_key) == ("http://qwen3-vllm.default:8000", "qwen3-8b", None)
    assert 1 <= run.workers <= 4
    assert run.tokenizer is None
    assert run.destinations == (Destination("s3://inference-perf-results/sharegpt-test/results"),)
    assert run.ignored == ()
    assert said_in(run.notices, "sample conversations are played, again and again, which are no ShareGPT. Download")
    assert said_in(run.notices, "load.type constant is evenly spaced here")
    assert said_in(run.notices, "'Qwen/Qwen3-8B', no folder here: the server's /tokenize counts")


def test_conversations_are_named_by_path_or_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_CONVERSATIONS", str(tmp_path / "theirs.json"))
    by_variable = run_of(tmp_path, EKS)
    assert by_variable.scenario.data == Data(path=str(tmp_path / "theirs.json"), turns="first")
    assert said_in(by_variable.notices, "as VLLM_QUALITY_CONVERSATIONS says")
    assert not said_in(by_variable.notices, "sample conversations")
    named = EKS.replace("{type: shareGPT}", f"{{type: shareGPT, path: {tmp_path / 'mine.json'}}}")
    assert run_of(tmp_path, named).scenario.data == Data(path=str(tmp_path / "mine.json"), turns="first")
    chat = run_of(tmp_path, named.replace("completion,", "chat,"))
    assert chat.scenario.data == Data(path=str(tmp_path / "mine.json"), turns="last")
    assert said_in(chat.notices, "Of each conversation the last question is asked")


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (
            {"type": "constant", "stages": [{"rate": 0.5, "duration": 60}, {"rate": 1, "duration": 60}]},
            (Constant(type="constant", rate=0.5, duration_s=60), Constant(type="constant", rate=1, duration_s=60)),
        ),
        (
            {"type": "poisson", "stages": [{"rate": 15, "duration": 600}]},
            (Poisson(type="poisson", rate=15, duration_s=600),),
        ),
        (
            {"type": "concurrent", "stages": [{"concurrency_level": 8, "num_requests": 100}]},
            (Concurrency(type="concurrency", streams=8, requests=100),),
        ),
        (
            {"type": "trace_replay", "trace": {"file": "/data/azure.csv"}, "stages": [{"rate": 1, "duration": 30}]},
            (Trace(type="trace", path="/data/azure.csv"),),
        ),
        (
            {"sweep": {"type": "geometric", "num_stages": 5, "stage_duration": 30}},
            tuple(Concurrency(type="concurrency", streams=level, duration_s=30) for level in (1, 4, 16, 64, 256)),
        ),
        (
            {"sweep": {"type": "linear", "num_stages": 3}, "stages": []},
            tuple(Concurrency(type="concurrency", streams=level, duration_s=180) for level in (1, 128, 256)),
        ),
    ],
)
def test_each_load_is_played(tmp_path: Path, load: dict[str, Any], wanted: tuple[Any, ...]) -> None:
    run = run_with(tmp_path, load=load)
    assert run.scenario.stages == wanted
    assert (run.scenario.sweep is not None) == ("sweep" in load)
    assert said_in(run.notices, "is a ladder of") == ("sweep" in load)
    assert said_in(run.notices, "The whole trace is played once") == ("trace" in load)
    assert said_in(run.notices, "evenly spaced") == isinstance(wanted[0], Constant)


def test_equal_stages_get_names_of_their_own(tmp_path: Path) -> None:
    stages = run_with(tmp_path, load={"stages": [{"rate": rate, "duration": 5} for rate in (1, 2, 1)]}).scenario.stages
    assert [stage.label for stage in stages] == ["rate-1", "rate-2", "rate-1-no2"]


def test_lengths_are_drawn_as_there(tmp_path: Path) -> None:
    scenario = run_with(tmp_path).scenario
    assert scenario.input_tokens == Spread(mean=512, std=128, min=128, max=2048)
    assert scenario.output_tokens == 64
    usual = run_with(tmp_path, data={**SYNTHETIC, "output_distribution": {}}).scenario
    assert usual.output_tokens == Spread(mean=512, std=200, min=10, max=1024)
    varied = {**SYNTHETIC, "type": "random", "output_distribution": {"mean": 50, "variance": 9, "std_dev": 0}}
    assert run_with(tmp_path, data=varied).scenario.output_tokens == Spread(mean=50, std=3, min=10, max=1024)


def test_a_shared_prefix_is_part_of_the_prompts_length(tmp_path: Path) -> None:
    prefix = {"num_unique_system_prompts": 4, "system_prompt_len": 100, "question_len": 50, "output_len": 20}
    scenario = run_with(tmp_path, data={"type": "shared_prefix", "shared_prefix": prefix}).scenario
    assert (scenario.shared_prefix, scenario.input_tokens) == (SharedPrefix(groups=4, tokens=100), 150)
    older = {"num_groups": 4, "question_distribution": {"mean": 50, "std_dev": 5, "min": 10, "max": 90}}
    scenario = run_with(tmp_path, data={"type": "shared_prefix", "shared_prefix": older}).scenario
    assert scenario.input_tokens == Spread(mean=150, std=5, min=110, max=190)
    assert scenario.output_tokens == 50


def test_a_trace_may_bring_the_lengths(tmp_path: Path) -> None:
    trace = {"file": "/data/azure.csv", "format": "AzurePublicDataset"}
    load = {"type": "trace_replay", "trace": trace, "stages": [{"rate": 1, "duration": 30}]}
    assert run_with(tmp_path, load=load, data={"type": "random", "trace": trace}).scenario.input_tokens == 512
    said = refusal(tmp_path, load=load, data={"type": "random", "trace": {"file": "/data/other.csv"}})
    assert "data.trace.file is not load.trace.file" in said


def test_limits_seed_timeout_and_response_format_are_taken(tmp_path: Path) -> None:
    run = run_with(
        tmp_path,
        api={"type": "chat", "streaming": True, "response_format": {"name": "a", "json_schema": {"type": "object"}}},
        load={**STAGES, "base_seed": 7, "request_timeout": 45},
        report={"goodput": {"constraints": {"ttft": 0.5, "request_latency": 9}}},
    )
    assert run.scenario.slo is not None
    assert (run.scenario.slo.ttft, run.scenario.slo.tpot, run.scenario.slo.e2e) == (0.5, None, 9)
    assert (run.scenario.seed, run.scenario.timeouts.total, run.scenario.timeouts.stall) == (7, 45, 45)
    assert run.scenario.hyperparameters == {
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    }


def test_reports_go_where_the_configuration_says(tmp_path: Path) -> None:
    s3 = {"bucket_name": "b", "path": "/runs/{timestamp}/", "endpoint_url": "http://127.0.0.1:9000"}
    run = run_with(tmp_path, storage={"local_storage": {"path": str(tmp_path / "out")}, "simple_storage_service": s3})
    local, bucket = run.destinations
    assert local == Destination(f"file://{tmp_path / 'out'}")
    assert bucket.url.startswith("s3://b/runs/2")
    assert "{" not in bucket.url
    assert bucket.endpoint_url == "http://127.0.0.1:9000"
    assert run_with(tmp_path).destinations == ()


def test_a_tokenizers_folder_is_used(tmp_path: Path) -> None:
    run = run_with(tmp_path, tokenizer={"pretrained_model_name_or_path": str(tmp_path)})
    assert run.tokenizer == tmp_path
    assert not said_in(run.notices, "/tokenize")


def test_the_key_and_tokens_are_shown_nowhere(tmp_path: Path) -> None:
    server = {"base_url": "http://127.0.0.1:1", "api_key": "sesame"}
    run = run_with(tmp_path, server=server, tokenizer={"token": "sesame"})
    assert run.api_key == "sesame"
    assert "sesame" not in repr(run)
    headers = {"Authorization": "Bearer sesame"}
    assert "sesame" not in refusal(tmp_path, server={**server, "api_key": ["sesame"]}, api={"headers": headers})


def test_more_workers_than_cpus_are_cut_down(tmp_path: Path) -> None:
    run = run_with(tmp_path, load={**STAGES, "num_workers": 100_000})
    assert run.workers < 100_000
    assert said_in(run.notices, f"{run.workers} workers are used")


def test_what_changes_no_figure_is_ignored_with_its_reason(tmp_path: Path) -> None:
    run = run_with(
        tmp_path,
        load={**STAGES, "interval": 15, "worker_max_concurrency": 100},
        data={**SYNTHETIC, "input_distribution": {**NORMAL, "total_count": 1000}},
        metrics={"type": "prometheus", "prometheus": {"url": "http://127.0.0.1:9090", "scrape_interval": 15}},
        report={"request_lifecycle": {"summary": True, "per_request": True, "percentiles": [50, 99.9]}},
    )
    assert [sentence.split()[0] for sentence in run.ignored] == [
        "data.input_distribution.total_count",
        "load.interval",
        "load.worker_max_concurrency",
        "metrics",
        "report.request_lifecycle.per_request",
        "report.request_lifecycle.summary",
    ]
    assert all(" has no effect: " in sentence and sentence.endswith(".") for sentence in run.ignored)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"api": {"type": "anthropic_messages"}},
            "api.type anthropic_messages cannot be had here (use completion or chat)",
        ),
        ({"api": {"headers": {"a": "b"}}}, "api.headers has no meaning here (an API key goes into server.api_key"),
        ({"api": {"slo_ttft_header": "x"}}, "api.slo_ttft_header has no meaning here (limits go into report.goodput"),
        ({"data": {"type": "cnn_dailymail"}}, "data.type cnn_dailymail cannot be had here (download it, and use"),
        ({"data": {"type": "mock"}}, "data.type mock cannot be had here (use shareGPT"),
        ({"data": None}, "data is missing"),
        (
            {"data": {"type": "shareGPT", "input_distribution": NORMAL}},
            "data.input_distribution has no meaning with data.type",
        ),
        ({"data": {**SYNTHETIC, "path": "x"}}, "data.path has no meaning with data.type synthetic"),
        ({"data": {"type": "random"}}, "data.output_distribution is missing, which data.type random needs"),
        (
            {"data": {**SYNTHETIC, "use_chat_template": True}},
            "data.use_chat_template has no meaning here (use api.type chat",
        ),
        (
            {"data": {**SYNTHETIC, "input_distribution": {**NORMAL, "type": "lognormal"}}},
            "data.input_distribution.type lognormal cannot be had here (use normal with mean",
        ),
        (
            {"data": {**SYNTHETIC, "input_distribution": {"mean": 5}}},
            "data.input_distribution has a mean of 5 that is not between min 10",
        ),
        (
            {"load": {"stages": [{"rate": 1000, "duration": 86_400}]}},
            "it is 86400000 requests, more than the 10000000 that a tape may hold",
        ),
        (
            {"data": {"type": "shared_prefix", "shared_prefix": {"question_len": {"type": "uniform"}}}},
            "as it is: data.shared_prefix.question_len.type uniform cannot be had here",
        ),
        (
            {"data": {"type": "shared_prefix", "shared_prefix": {"system_prompt_len": 0, "question_len": "x"}}},
            "data.shared_prefix.system_prompt_len input should be greater than or equal to 1; data.shared_prefix.question_len",
        ),
        ({"load": {"type": "trace_session_replay"}}, "load.type trace_session_replay cannot be had here"),
        ({"load": {}}, "load.stages are missing"),
        ({"load": {"stages": [{"rate": 1}]}}, "load.stages[0].duration is missing, which load.type constant needs"),
        ({"load": {"stages": [{"rate": 0, "duration": 1}]}}, "load.stages[0].rate input should be greater than 0"),
        (
            {"load": {"type": "concurrent", **STAGES}},
            "load.stages[0].rate has no meaning with load.type concurrent",
        ),
        ({"load": {"type": "trace_replay"}}, "load.trace is missing"),
        (
            {"load": {**STAGES, "trace": {"file": "x"}}},
            "load.trace has no meaning with load.type constant (use trace_replay)",
        ),
        ({"load": {**STAGES, "sweep": {"type": "linear"}}}, "load.stages have no meaning beside load.sweep"),
        ({"load": {**STAGES, "circuit_breakers": ["a"]}}, "load.circuit_breakers has no meaning here"),
        (
            {"load": {**STAGES, "lora_traffic_split": [{"name": "a", "split": 1}]}},
            "load.lora_traffic_split has no meaning",
        ),
        ({"load": {**STAGES, "num_worker": 4}}, "load.num_worker is no key of inference-perf (num_workers is one)"),
        (
            {"load": {"stages": [{"rate": 1, "duration": 1, "rps": 2}]}},
            "load.stages[0].rps is no key of inference-perf",
        ),
        ({"server": {}}, "server.base_url is missing"),
        ({"server": {**SERVER["server"], "type": "mock"}}, "server.type mock cannot be had here"),
        ({"server": {**SERVER["server"], "cert_path": "a.pem"}}, "server.cert_path has no meaning here"),
        (
            {"storage": {"google_cloud_storage": {"bucket_name": "b"}}},
            "storage.google_cloud_storage has no meaning here (use simp",
        ),
        (
            {"report": {"goodput": {"constraints": {"ntpot": 1}}}},
            "report.goodput.constraints.ntpot has no meaning here",
        ),
        (
            {"report": {"request_lifecycle": {"percentiles": [97]}}},
            "report.request_lifecycle.percentiles[0] is not among",
        ),
        ({"circuit_breakers": [{"name": "a"}]}, "circuit_breakers has no meaning here"),
        ({"extra": None}, "extra is no key of inference-perf"),
    ],
)
def test_what_has_no_meaning_here_is_refused_by_name(tmp_path: Path, sections: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path, **sections)


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    said = refusal(
        tmp_path,
        api={"type": "chat", "headers": {"a": "b"}, "stream": True},
        data={**SYNTHETIC, "path": "x"},
        load={"stages": [{"rate": 1, "duration": 1}, {"rate": -1, "num_requests": 5}], "interval": 1, "workers": 3},
        server={"type": "vllm"},
        storage={"google_cloud_storage": {"bucket_name": "b"}},
    )
    for key in (
        "api.headers",
        "api.stream",
        "data.path",
        "load.stages[1].rate",
        "load.stages[1].num_requests",
        "load.stages[1].duration",
        "load.workers",
        "server.base_url",
        "storage.google_cloud_storage",
    ):
        assert f" {key} " in said
    assert "load.interval" not in said


def test_what_inference_perf_itself_writes_beside_its_reports_says_nothing_more(tmp_path: Path) -> None:
    empty = {"headers": None, "slo_unit": None, "response_format": None}
    run = run_with(
        tmp_path,
        api={"type": "completion", "streaming": False, **empty},
        data={**SYNTHETIC, "path": None, "shared_prefix": None, "trace": None, "use_chat_template": False},
        load={**STAGES, "sweep": None, "circuit_breakers": [], "lora_traffic_split": None, "request_timeout": None},
        metrics=None,
        circuit_breakers=None,
        storage={"google_cloud_storage": None, "local_storage": {"path": "out", "report_file_prefix": None}},
    )
    assert run.ignored == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("load: [\n", "is not valid YAML in line 2"),
        ("load: {type: constant\nserver: 1\n", "is not valid YAML in line 2"),
        ("- 1\n", "holds no configuration of inference-perf"),
        ("", "holds no configuration of inference-perf"),
        ("a: 2025-13-45\n", "is not valid YAML"),
    ],
)
def test_what_is_no_configuration_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(LoadError, match=said) as caught:
        run_of(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "config.yml") in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"none\.yml cannot be read"):
        read_inference_perf(tmp_path / "none.yml")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["shareGPT", "constant", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "api",
                    "data",
                    "load",
                    "server",
                    "storage",
                    "type",
                    "stages",
                    "rate",
                    "duration",
                    "base_url",
                    "trace",
                    "file",
                ]
            )
            | st.sampled_from(
                ["sweep", "input_distribution", "shared_prefix", "question_len", "local_storage", "path", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=values)
def test_any_yaml_is_a_run_or_a_sentence(tmp_path: Path, content: Any) -> None:
    try:
        run = run_of(tmp_path, yaml.safe_dump(content))
    except LoadError:
        return
    assert run.scenario.stages

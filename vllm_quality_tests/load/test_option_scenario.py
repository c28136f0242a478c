"""What is typed becomes the scenario that was meant, or one sentence."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.load.errors import LoadError
from vllm_quality.load.option_scenario import scenario_from_options
from vllm_quality.load.option_values import lengths, seconds, slo
from vllm_quality.load.options import LoadTestOptions
from vllm_quality.load.scenario import Scenario

SCENARIOS = """
scenarios:
  baseline:
    title: Baseline
    profiles:
      smoke: {input_tokens: 32, output_tokens: 16, stages: [{type: constant, rate: 2, duration_s: 8}]}
      full: {input_tokens: 512, output_tokens: 128, stages: [{type: constant, rate: 1, duration_s: 300}]}
"""


@pytest.fixture
def scenarios_file(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios.yaml"
    path.write_text(SCENARIOS)
    return path


def meant(path: Path = Path("none.yaml"), **typed: Any) -> Scenario:
    return scenario_from_options(LoadTestOptions(**typed), path, "smoke")


def stage(**typed: Any) -> dict[str, Any]:
    (only,) = meant(**typed).stages
    return {name: value for name, value in only.model_dump().items() if value is not None}


def test_concurrency_and_requests() -> None:
    scenario = meant(concurrency=8, requests=100)
    (load,) = scenario.stages
    assert (load.type, load.label) == ("concurrency", "concurrency-8")
    assert (scenario.profile, scenario.api, scenario.streaming, scenario.ignore_eos) == (
        "custom",
        "completions",
        True,
        True,
    )
    assert (scenario.input_tokens, scenario.output_tokens) == (128, 128)


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ({"concurrency": 4, "duration": "1m30s"}, {"type": "concurrency", "streams": 4, "duration_s": 90.0}),
        (
            {"concurrency": 4, "requests": 9, "duration": "20m"},
            {"type": "concurrency", "streams": 4, "requests": 9, "duration_s": 1200.0},
        ),
        ({"rate": 2.5, "duration": "300s"}, {"type": "constant", "rate": 2.5, "duration_s": 300.0}),
        (
            {"rate": 2, "duration": "5", "arrival": "poisson"},
            {"type": "poisson", "rate": 2.0, "duration_s": 5.0},
        ),
        (
            {"rate": 2, "duration": "5", "burstiness": 0.5},
            {"type": "gamma", "rate": 2.0, "duration_s": 5.0, "burstiness": 0.5},
        ),
        (
            {"users": 10, "spawn_rate": 2.0, "runtime": "1h30m"},
            {"type": "users", "users": 10, "spawn_rate": 2.0, "runtime_s": 5400.0, "think_s": 0.0},
        ),
        (
            {"users": 3, "data": "sample"},
            {"type": "users", "users": 3, "spawn_rate": 1.0, "runtime_s": 0.0, "think_s": 0.0},
        ),
    ],
)
def test_a_load_is_the_one_that_was_typed(typed: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert stage(**typed) == wanted


def test_a_sweep_is_a_rising_ladder() -> None:
    scenario = meant(sweep="1,2,4,8", requests=50)
    assert scenario.sweep is not None
    assert [getattr(load, "streams", None) for load in scenario.stages] == [1, 2, 4, 8]
    rates = meant(sweep="0.5,1,2", sweep_over="rate", duration="10s", arrival="poisson")
    assert [(load.type, getattr(load, "rate", None)) for load in rates.stages] == [
        ("poisson", 0.5),
        ("poisson", 1.0),
        ("poisson", 2.0),
    ]


def test_a_capacity_search_has_bounds_and_an_slo() -> None:
    scenario = meant(capacity="1,50", slo="ttft=0.5,tpot=50ms,target=0.99")
    assert scenario.capacity is not None
    assert (scenario.capacity.lowest, scenario.capacity.highest, scenario.stages) == (1, 50, ())
    assert scenario.slo is not None
    assert (scenario.slo.ttft, scenario.slo.tpot, scenario.slo.target) == (0.5, 0.05, 0.99)


def test_content_timeouts_and_seed() -> None:
    scenario = meant(
        concurrency=1,
        requests=1,
        input_tokens="512,128,128,2048",
        output_tokens="64",
        timeout=300.0,
        stall_timeout=20.0,
        seed=9,
        api="chat",
        streaming=False,
        ignore_eos=False,
    )
    assert (scenario.timeouts.total, scenario.timeouts.first_token, scenario.timeouts.stall) == (300, 300, 20)
    assert (scenario.seed, scenario.api, scenario.streaming, scenario.ignore_eos) == (9, "chat", False, False)
    assert scenario.output_tokens == 64
    assert scenario.model_dump()["input_tokens"]["std"] == 128


def test_data_replace_synthetic_prompts_and_end_where_the_model_ends_them() -> None:
    scenario = meant(concurrency=1, requests=1, data="chats.jsonl", data_format="sharegpt", turns="sessions")
    assert scenario.data is not None
    assert (Path(scenario.data.path), scenario.data.format, scenario.data.turns) == (
        Path("chats.jsonl").absolute(),
        "sharegpt",
        "sessions",
    )
    assert (scenario.input_tokens, scenario.output_tokens, scenario.ignore_eos) == (None, None, False)


def test_a_scenario_of_the_file_in_its_profile(scenarios_file: Path) -> None:
    assert meant(scenarios_file, scenario="baseline").profile == "smoke"
    full = meant(scenarios_file, scenario="baseline", profile="full")
    assert (full.profile, full.input_tokens) == ("full", 512)


def test_a_scenario_that_was_changed_is_no_longer_the_files(scenarios_file: Path) -> None:
    changed = meant(scenarios_file, scenario="baseline", profile="full", input_tokens="64", slo="ttft=1", timeout=60.0)
    assert (changed.profile, changed.input_tokens, changed.timeouts.total) == ("custom", 64, 60)
    real = meant(scenarios_file, scenario="baseline", data="sample")
    assert (real.data is not None, real.input_tokens) == (True, None)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({}, "Nothing says what load to play"),
        ({"concurrency": 1, "rate": 1.0}, "--concurrency and --rate are two different loads"),
        ({"scenario": "x", "users": 1}, "--scenario and --users are two different loads"),
        ({"concurrency": 1}, "--concurrency needs --requests or --duration"),
        ({"rate": 1.0}, "--rate needs --duration"),
        ({"rate": 1.0, "duration": "0"}, "is no time at all"),
        ({"rate": 1.0, "requests": 5, "duration": "5"}, "--requests means nothing with --rate"),
        ({"users": 1}, "--users needs --runtime"),
        ({"users": 1, "duration": "5"}, "--duration means nothing with --users"),
        ({"concurrency": 1, "requests": 1, "profile": "full"}, "--profile means nothing with --concurrency"),
        ({"rate": 1.0, "duration": "5", "arrival": "gamma"}, "needs --burstiness"),
        ({"rate": 1.0, "duration": "5", "arrival": "poisson", "burstiness": 2.0}, "needs --burstiness"),
        ({"sweep": "8,4", "requests": 5}, "do not rise"),
        ({"sweep": "1,x"}, "no list of numbers"),
        ({"sweep": "1.5,2"}, "fraction of a stream"),
        ({"sweep": "1,2", "arrival": "poisson"}, "are for rates"),
        ({"sweep": "1,2", "sweep_over": "rate", "requests": 5}, "--requests means nothing"),
        ({"capacity": "1,50"}, "searches the highest rate that holds an SLO"),
        ({"capacity": "1", "slo": "ttft=1"}, "the lowest and the highest rate"),
        ({"capacity": "9,3", "slo": "ttft=1"}, "lowest must be below highest"),
        ({"concurrency": 1, "requests": 1, "slo": "speed=1"}, "is not understood"),
        ({"concurrency": 1, "requests": 1, "input_tokens": "1,2"}, "neither one number nor four"),
        ({"concurrency": 1, "requests": 1, "turns": "last"}, "--turns says how to read --data"),
        ({"concurrency": 1, "requests": 1, "data": "x", "input_tokens": "5"}, "--input-tokens is for synthetic"),
        ({"tape": Path("t"), "output_tokens": "5"}, "--output-tokens cannot be combined with a tape"),
        ({"tape": Path("t"), "seed": 5}, "--seed cannot be combined with a tape"),
        ({"config": Path("c"), "slo": "ttft=1"}, "--slo cannot be combined with a configuration file"),
        ({"scenario": "nothing"}, "There is no scenario 'nothing'"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(scenarios_file: Path, typed: dict[str, Any], said: str) -> None:
    with pytest.raises(LoadError) as error:
        meant(scenarios_file, **typed)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("300s", 300),
        ("20m", 1200),
        ("1h30m", 5400),
        ("90", 90),
        ("0s", 0),
        ("1.5", 1.5),
        ("500ms", 0.5),
        ("1h1s", 3601),
    ],
)
def test_durations(text: str, wanted: float) -> None:
    assert seconds(text, "--duration") == wanted


@given(st.text(max_size=8))
def test_any_text_is_a_duration_or_one_sentence(text: str) -> None:
    with suppress(LoadError):
        assert seconds(text, "--duration") >= 0


@pytest.mark.parametrize("text", ["", "soon", "5x", "-3", "1h 30m", "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(LoadError, match="is no duration"):
        seconds(text, "--duration")


def test_lengths_and_limits() -> None:
    assert lengths("128") == 128
    assert lengths("512,64,32,2048") == {"mean": 512, "std": 64, "min": 32, "max": 2048}
    assert slo("ttft=0.5, e2e=2s") == {"ttft": 0.5, "e2e": 2.0}

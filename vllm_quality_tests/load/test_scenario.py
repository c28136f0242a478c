from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vllm_quality.load.data.lengths import Spread
from vllm_quality.load.scenario import Scenario, ScenarioError, load_scenarios, played, scenario_names
from vllm_quality.load.schedule import Concurrency, Constant, Poisson, Trace
from vllm_quality.settings import Profile, load_settings
from vllm_quality_tests.load.asking import scenario

GOOD = """
scenarios:
  quick:
    title: Quick
    input_tokens: 8
    profiles:
      smoke:
        output_tokens: 4
        stages: [{ type: constant, rate: 2, duration_s: 1 }]
      full:
        input_tokens: 16
        output_tokens: 8
        stages:
          - { type: concurrency, streams: 2, requests: 4 }
          - { type: constant, rate: 2, duration_s: 1 }
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scenarios.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_profiles_keys_win_over_the_scenarios_own(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert scenario_names(path) == ("quick",)
    assert load_scenarios(path, "smoke")[0].input_tokens == 8
    full = load_scenarios(path, "full")[0]
    assert full.input_tokens == 16
    assert [stage.label for stage in full.stages] == ["concurrency-2", "rate-2"]


def packaged() -> Path:
    return load_settings().config_file("scenarios.yaml")


def full() -> dict[str, Scenario]:
    return {found.name: found for found in load_scenarios(packaged(), "full")}


@pytest.mark.parametrize("profile", ["smoke", "standard", "full"])
def test_the_packaged_scenarios_load_in_every_profile(profile: Profile) -> None:
    found = load_scenarios(packaged(), profile)
    assert [each.name for each in found if not each.optional] == ["baseline", "saturation", "sweep", "production"]
    assert [each.name for each in found if each.optional] == [
        "baseline_real",
        "saturation_real",
        "sweep_real",
        "production_real",
        "capacity",
    ]


def test_the_full_baseline_is_ai_on_eks() -> None:
    baseline = full()["baseline"]
    assert baseline.stages == (Constant(type="constant", rate=1, duration_s=300),)
    assert (baseline.input_tokens, baseline.output_tokens, baseline.ignore_eos) == (512, 128, True)
    assert (baseline.api, baseline.streaming) == ("completions", True)


def test_the_full_saturation_is_ai_on_eks() -> None:
    saturation = full()["saturation"]
    assert saturation.stages == tuple(Constant(type="constant", rate=rate, duration_s=180) for rate in (5, 10, 20, 40))
    assert saturation.input_tokens == Spread(mean=512, std=128, min=128, max=2048)
    assert saturation.output_tokens == Spread(mean=256, std=64, min=32, max=512)


def test_the_full_sweep_is_a_ladder_with_ai_on_eks_lengths() -> None:
    sweep, saturation = full()["sweep"], full()["saturation"]
    assert [stage.streams for stage in sweep.stages if isinstance(stage, Concurrency)] == [2**step for step in range(9)]
    assert sum(stage.limit_s or 0 for stage in sweep.stages) == 5 * 180
    assert (sweep.input_tokens, sweep.output_tokens) == (saturation.input_tokens, saturation.output_tokens)
    assert sweep.sweep is not None
    assert sweep.sweep.stop_at_plateau


def test_the_full_production_is_ai_on_eks() -> None:
    production = full()["production"]
    assert production.stages == (Poisson(type="poisson", rate=15, duration_s=600),)
    assert production.input_tokens == Spread(mean=1024, std=512, min=128, max=4096)
    assert production.output_tokens == Spread(mean=512, std=256, min=50, max=2048)


def test_each_scenario_has_a_variant_with_real_conversations_under_the_same_load() -> None:
    found = full()
    for name in ("baseline", "saturation", "sweep", "production"):
        real = found[f"{name}_real"]
        assert real.stages == found[name].stages
        assert real.data is not None
        assert real.data.path == "sample"


def test_an_evaluation_plays_all_but_the_optional_scenarios_unless_they_are_named() -> None:
    assert played(packaged(), None) == ("baseline", "saturation", "sweep", "production")
    assert played(packaged(), ("all",)) == scenario_names(packaged())
    assert played(packaged(), ("capacity", "baseline")) == ("baseline", "capacity")


def test_a_scenario_that_is_not_there_is_one_sentence_with_the_nearest_name() -> None:
    with pytest.raises(
        ScenarioError, match=r"scenarios.yaml has no scenario 'saturaton'; the nearest .* 'saturation'."
    ):
        played(packaged(), ("baseline", "saturaton"))


def test_files_are_looked_for_beside_the_scenarios_file(tmp_path: Path) -> None:
    stages = "stages: [{ type: constant, rate: 2, duration_s: 1 }, { type: trace, path: t.csv }]"
    text = GOOD.replace("stages: [{ type: constant, rate: 2, duration_s: 1 }]", stages, 1)
    text = text.replace("input_tokens: 8", "data: { path: talks/a.jsonl }", 1)
    (found,) = load_scenarios(written(tmp_path, text), "smoke")
    assert found.data is not None
    assert found.data.path == str(tmp_path / "talks/a.jsonl")
    trace = found.stages[1]
    assert isinstance(trace, Trace)
    assert trace.path == str(tmp_path / "t.csv")
    for stays in ("sample", "/data/a.jsonl"):
        other = written(tmp_path, text.replace("talks/a.jsonl", stays))
        assert load_scenarios(other, "smoke")[0].data == found.data.model_copy(update={"path": stays})


CONSTANT = {"type": "constant", "rate": 2, "duration_s": 1}
STREAMS = [{"type": "concurrency", "streams": streams, "requests": 5} for streams in (1, 2)]
DATA = {"path": "sample"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"stages": []}, "has no stages and no capacity search, so nothing to play"),
        ({"capacity": {"lowest": 1, "highest": 9}}, "searches a capacity without an slo"),
        ({"slo": {}}, "limits nothing; give it ttft, tpot, itl or e2e in seconds"),
        ({"slo": {"target": 0.9}}, "limits nothing"),
        ({"slo": {"ttft": 1}, "capacity": {"lowest": 9, "highest": 1}}, "lowest must be below highest"),
        ({"slo": {"ttft": 1}, "capacity": {"lowest": 1, "highest": 9, "probe_s": 99}}, "probe_s 99 above"),
        ({"stages": [CONSTANT, CONSTANT]}, r"has two stages of one name \(rate-2, rate-2\); give them names"),
        ({"input_tokens": None}, "has neither input_tokens nor data"),
        ({"output_tokens": None}, "has no output_tokens"),
        ({"data": DATA}, "has input_tokens beside data"),
        (
            {"data": DATA, "input_tokens": None, "shared_prefix": {"groups": 1, "tokens": 4}},
            "a shared_prefix beside data",
        ),
        (
            {"shared_prefix": {"groups": 1, "tokens": 8}},
            "has prompts of 8 tokens that are to begin with a shared_prefix of 8",
        ),
        (
            {"hyperparameters": {"max_tokens": 5}},
            "has 'max_tokens' among its hyperparameters, which output_tokens decides",
        ),
        ({"hyperparameters": {"temperature": 1}}, "which temperature decides"),
        ({"stages": [{"type": "users", "users": 2, "runtime_s": 0}]}, "has users with runtime_s 0"),
        ({"sweep": {}}, "has a sweep whose stages are not two or more of one kind"),
        ({"sweep": {}, "stages": [CONSTANT, *STREAMS]}, "has a sweep whose stages are not two or more of one kind"),
        ({"sweep": {}, "stages": STREAMS[::-1]}, r"has a sweep whose stages do not rise \(2, 1\); sort them"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_in_a_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        scenario(**settings)


def test_a_capacity_search_needs_no_stages_and_a_sweep_may_rise_in_either_loop() -> None:
    assert scenario(stages=[], slo={"ttft": 0.5}, capacity={"lowest": 1, "highest": 9}).stages == ()
    assert scenario(sweep={}, stages=STREAMS).sweep is not None
    assert scenario(sweep={}, stages=[CONSTANT, CONSTANT | {"rate": 3}]).sweep is not None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rate: 2", "rate: -2", "scenarios.quick.profiles.smoke.stages.0.rate: input should be greater than 0"),
        ("rate: 2", "rate: .nan", "scenarios.quick.profiles.smoke.stages.0.rate: input should be"),
        ("input_tokens: 8", "input_tokens: many", "scenarios.quick.input_tokens: input should be a valid integer"),
        ("title: Quick", "titel: Quick", "scenarios.quick.title: field required"),
        ("title: Quick", "title: Quick\n    tokens: 1", "scenarios.quick.tokens: extra inputs are not permitted"),
        ("type: constant", "type: sawtooth", "scenarios.quick.profiles.smoke.stages.0: input tag 'sawtooth'"),
        ("    profiles:", "    profile:", "scenarios.quick must be a mapping with a mapping 'profiles'"),
        ("      smoke:", "      other:", "scenarios.quick.profiles.smoke is missing (there: full, other)"),
        ("scenarios:", "scenario:", "key 'scenarios' must map names to scenarios"),
        (
            "rate: 2, duration_s: 1",
            "rate: 99999, duration_s: 999",
            "profiles.smoke.stages.0: is 99899001 requests, more",
        ),
        (
            "input_tokens: 8",
            "input_tokens: { mean: 8 }",
            "scenarios.quick.input_tokens.std: field required; correct it.",
        ),
        ("input_tokens: 8", "sweep: {}", "scenarios.quick: has neither input_tokens nor data; give the length"),
        ("title: Quick", "title: Quick\n    optional: perhaps", "scenarios.quick.optional must be true or false"),
        ("output_tokens: 4", "optional: true", "scenarios.quick.profiles.smoke.optional holds in every profile"),
        ("quick:", "Quick Test:", "scenarios.Quick Test.name: string should match pattern"),
        ("scenarios:", "scenarios: [", "is not valid YAML in line 4"),
        ("Quick", "\x01", "is not valid YAML"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_key(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ScenarioError) as caught:
        load_scenarios(path, "smoke")
    message = str(caught.value)
    assert message.startswith(str(path))
    assert sentence in message
    assert "\n" not in message
    assert message.endswith(".")


def test_two_stages_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = "{ type: constant, rate: 2, duration_s: 1 }, { type: constant, rate: 2, duration_s: 2 }"
    path = written(tmp_path, GOOD.replace("{ type: constant, rate: 2, duration_s: 1 }", twice, 1))
    with pytest.raises(ScenarioError, match=r"two stages of one name \(rate-2, rate-2\)"):
        load_scenarios(path, "smoke")


def test_a_missing_or_undecodable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nowhere.yaml cannot be read \(No such file"):
        load_scenarios(tmp_path / "nowhere.yaml", "smoke")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        load_scenarios(tmp_path / "latin.yaml", "smoke")


def test_what_does_not_shape_the_numbers_is_not_in_shaping(tmp_path: Path) -> None:
    found = load_scenarios(written(tmp_path, GOOD), "smoke")[0]
    other = found.model_copy(update={"title": "Else", "abort_after_connect_errors": 3, "optional": True})
    assert found.shaping() == other.shaping()
    assert found.shaping() != found.model_copy(update={"temperature": 1.0}).shaping()
    assert found.shaping()["profile"] == "smoke"


def test_where_a_file_lies_does_not_shape_the_numbers() -> None:
    def shaping(folder: str) -> dict[str, Any]:
        stages = [{"type": "trace", "path": f"{folder}/t.csv"}]
        return scenario(data={"path": f"{folder}/a.jsonl"}, input_tokens=None, stages=stages).shaping()

    assert shaping("/one") == shaping("/two")


def test_a_default_spelled_out_changes_nothing() -> None:
    spelled = Scenario.model_validate_json(scenario().model_dump_json())
    assert spelled.model_dump_json() == scenario().model_dump_json()

from pathlib import Path

import pytest

from vllm_quality.load.scenario import ScenarioError, load_scenarios, scenario_names
from vllm_quality.load.schedule import Constant
from vllm_quality.settings import Profile, load_settings

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


@pytest.mark.parametrize("profile", ["smoke", "standard", "full"])
def test_the_packaged_scenarios_load_in_every_profile(profile: Profile) -> None:
    scenarios = load_scenarios(load_settings().config_file("scenarios.yaml"), profile)
    assert "baseline" in [scenario.name for scenario in scenarios]


def test_the_full_baseline_is_ai_on_eks() -> None:
    (baseline,) = [
        scenario
        for scenario in load_scenarios(load_settings().config_file("scenarios.yaml"), "full")
        if scenario.name == "baseline"
    ]
    assert baseline.stages == (Constant(type="constant", rate=1, duration_s=300),)
    assert (baseline.input_tokens, baseline.output_tokens, baseline.ignore_eos) == (512, 128, True)
    assert (baseline.api, baseline.streaming) == ("completions", True)


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
    scenario = load_scenarios(written(tmp_path, GOOD), "smoke")[0]
    other = scenario.model_copy(update={"title": "Else", "abort_after_connect_errors": 3})
    assert scenario.shaping() == other.shaping()
    assert scenario.shaping() != scenario.model_copy(update={"temperature": 1.0}).shaping()
    assert scenario.shaping()["profile"] == "smoke"

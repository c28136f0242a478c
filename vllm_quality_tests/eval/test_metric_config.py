"""Any of deepeval's metrics is a line in deepeval.json; what cannot be used is said before anything is asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.items import Item
from vllm_quality.eval.metric_config import configure_metrics
from vllm_quality.eval.metric_registry import MetricClass, MetricRegistryError, load_metrics
from vllm_quality.settings import load_settings

STEPS = ["Check that the actual output is polite.", "Take off for shouting."]


@pytest.fixture(autouse=True)
def _prepared(tmp_path: Path) -> None:
    prepare_deepeval(tmp_path)


def configured(tmp_path: Path, *entries: dict[str, Any]) -> dict[str, MetricClass]:
    path = tmp_path / "deepeval.json"
    path.write_text(json.dumps({"metrics": entries}), encoding="utf-8")
    return {metric.name: metric for metric in configure_metrics(load_metrics([]), path)}


def item(language: str = "en", dataset: str = "mine", reference: str | None = "42", **metadata: Any) -> Item:
    asked = ({"role": "user", "content": "?"},)
    return Item("id", dataset, language, asked, "?", reference, (), metadata)


def judge() -> Any:
    from deepeval.models import DeepEvalBaseLLM

    class Silent(DeepEvalBaseLLM):  # type: ignore[misc]  # deepeval's classes are untyped for mypy
        def load_model(self) -> str:
            return "silent"

        def get_model_name(self) -> str:
            return "silent"

        def generate(self, prompt: str) -> str:
            raise AssertionError

        async def a_generate(self, prompt: str) -> str:
            raise AssertionError

    return Silent("silent")


def test_the_packaged_file_adds_nothing_to_the_folders() -> None:
    path = load_settings().config_file("deepeval.json")
    names = [metric.name for metric in configure_metrics(load_metrics([]), path)]
    assert names == [metric.name for metric in load_metrics([])]


def test_a_metric_of_deepevals_is_made_with_its_parameters(tmp_path: Path) -> None:
    metric = configured(
        tmp_path,
        {
            "metric": "FaithfulnessMetric",
            "name": "grounded",
            "params": {"truths_extraction_limit": 5},
            "threshold": 0.8,
            "languages": ["ko"],
            "datasets": ["faq_*"],
        },
    )["grounded"]
    made = metric.build(judge())
    assert (made.threshold, made.truths_extraction_limit) == (0.8, 5)
    assert metric.needs_judge
    assert not metric.yes_no
    passages = ["A passage."]
    assert metric.applies_to(item("ko", "faq_1", context=passages))
    assert not metric.applies_to(item("en", "faq_1", context=passages))
    assert not metric.applies_to(item("ko", "other", context=passages))
    assert not metric.applies_to(item("ko", "faq_1"))  # nothing to be faithful to


def test_geval_needs_its_steps(tmp_path: Path) -> None:
    entry = {"metric": "GEval", "params": {"name": "Polite Tone", "evaluation_steps": STEPS, "threshold": 0.7}}
    metric = configured(tmp_path, entry)["polite_tone"]
    made = metric.build(judge())
    assert (made.evaluation_steps, made.threshold) == (STEPS, 0.7)
    assert [param.value for param in made.evaluation_params] == ["input", "actual_output"]
    with pytest.raises(MetricRegistryError, match="the judge would write them anew in every run"):
        configured(tmp_path, {"metric": "GEval", "params": {"name": "Tone", "criteria": "Is it polite?"}})


def test_gevals_parameters_and_rubric_are_named_as_in_deepeval(tmp_path: Path) -> None:
    params = {
        "evaluation_steps": STEPS,
        "evaluation_params": ["actual_output", "expected_output"],
        "rubric": [
            {"score_range": [0, 4], "expected_outcome": "rude"},
            {"score_range": [5, 10], "expected_outcome": "ok"},
        ],
    }
    metric = configured(tmp_path, {"metric": "GEval", "name": "tone", "params": params})["tone"]
    assert [part.expected_outcome for part in metric.build(judge()).rubric] == ["rude", "ok"]
    assert metric.applies_to(item())
    assert not metric.applies_to(item(reference=None))


def test_a_conversation_is_measured_as_one(tmp_path: Path) -> None:
    entry = {"metric": "ConversationalGEval", "name": "memory", "params": {"evaluation_steps": STEPS}}
    metrics = configured(tmp_path, entry, {"metric": "RoleAdherenceMetric"})
    asked = Item(
        "id",
        "mine",
        "en",
        (
            {"role": "system", "content": "You are a pirate."},
            {"role": "user", "content": "I am Ada."},
            {"role": "assistant", "content": "Ahoy!"},
            {"role": "user", "content": "Who am I?"},
        ),
        "Who am I?",
        None,
        (),
        {"scenario": "Meeting", "retrieval_context": ["Ada is a name."]},
    )
    case = metrics["memory"].case_of(asked, "Ada, arr.")
    assert [turn.role for turn in case.turns] == ["user", "assistant", "user", "assistant"]
    assert (case.turns[-1].content, case.turns[-1].retrieval_context) == ("Ada, arr.", ["Ada is a name."])
    assert (case.chatbot_role, case.scenario) == ("You are a pirate.", "Meeting")
    assert metrics["role_adherence"].applies_to(asked)
    assert not metrics["role_adherence"].applies_to(item())  # no role is given


def test_a_metric_of_the_folders_can_be_changed_or_taken_out(tmp_path: Path) -> None:
    found = configured(
        tmp_path,
        {"metric": "RagAccuracy", "threshold": 0.9},
        {"metric": "KoreanRatio", "name": "all_korean", "languages": ["ko"], "threshold": 1},
        {"metric": "ExactAnswer", "enabled": False},
    )
    assert found["rag_accuracy"].build(judge()).threshold == 0.9
    assert found["all_korean"].build(None).threshold == 1
    assert found["korean_ratio"].build(None).threshold == 0.5
    assert "exact_answer" not in found
    plain = {metric.name: metric for metric in load_metrics([])}
    assert found["rag_accuracy"].fingerprint != plain["rag_accuracy"].fingerprint


def test_yes_or_no_has_no_share_of_passes(tmp_path: Path) -> None:
    found = configured(
        tmp_path, {"metric": "ExactMatchMetric"}, {"metric": "BiasMetric", "params": {"strict_mode": True}}
    )
    assert [name for name, metric in found.items() if metric.yes_no] == [
        "appropriate_refusal",
        "bias",
        "exact_answer",
        "exact_match",
        "no_over_refusal",
    ]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"metric": "AnswerRelevency"}, r"no such metric; the nearest are AnswerRelevancyMetric"),
        ({"metric": "exactanswer"}, r"no such metric; the nearest are ExactAnswer"),
        ({"metric": "BiasMetric", "params": {"treshold": 1}}, r"has no parameter 'treshold'; it takes .*threshold"),
        ({"metric": "BiasMetric", "params": {"model": "gpt-4"}}, "the judge is the one of the settings"),
        ({"metric": "BiasMetric", "params": {"eval_mode": "hybrid"}}, "'eval_mode' is not set here"),
        ({"metric": "ToolCorrectnessMetric"}, "needs the calls of an agent's tools"),
        ({"metric": "TaskCompletionMetric"}, "needs an agent's trace"),
        ({"metric": "ImageEditingMetric"}, "needs images"),
        ({"metric": "JevEval"}, "needs Confident AI's own judge"),
        ({"metric": "BiasMetric", "name": "exact_answer"}, "has the name 'exact_answer', which is taken"),
        ({"metric": "BiasMetric", "threshold": 7}, r"metrics\[0\].threshold cannot be used"),
        ({"metric": "BiasMetric", "limit": 7}, r"metrics\[0\].limit cannot be used"),
        ({"metric": "GEval", "params": {"evaluation_steps": []}}, "needs `evaluation_steps`"),
        (
            {"metric": "GEval", "params": {"evaluation_steps": STEPS, "evaluation_params": ["output"]}},
            "evaluation_params has 'output'; it is a list of input, actual_output",
        ),
        (
            {"metric": "GEval", "params": {"evaluation_steps": STEPS, "rubric": [{"score_range": [0, 40]}]}},
            "rubric is a list of objects",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, entry: dict[str, Any], says: str) -> None:
    with pytest.raises(MetricRegistryError, match=says) as caught:
        configured(tmp_path, entry)
    assert "deepeval.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MetricRegistryError, match=r"metrics\[1\] \(BiasMetric\) has the name 'bias', which is taken"):
        configured(tmp_path, {"metric": "BiasMetric"}, {"metric": "BiasMetric", "threshold": 0.9})


@pytest.mark.parametrize(("text", "says"), [("{", "is not JSON"), ("[]", "the file cannot be used")])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "deepeval.json").write_text(text, encoding="utf-8")
    with pytest.raises(MetricRegistryError, match=f"deepeval.json.*{says}"):
        configure_metrics([], tmp_path / "deepeval.json")
    with pytest.raises(MetricRegistryError, match="cannot be read"):
        configure_metrics([], tmp_path / "nowhere.json")

"""A metric is a class in a file of the folder; what is wrong with a file is said in one sentence."""

from pathlib import Path

import pytest

from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.items import read_items
from vllm_quality.eval.metric_registry import MetricRegistryError, load_metrics
from vllm_quality_tests.eval.test_deepeval_suite import snapshot

SHIPPED = [
    "answer_format",
    "appropriate_refusal",
    "exact_answer",
    "korean_ratio",
    "no_hallucination",
    "no_over_refusal",
    "rag_accuracy",
]

POLITE = """
from deepeval.metrics import BaseMetric, GEval
from deepeval.test_case import LLMTestCase


class PolitenessMetric(BaseMetric):
    threshold = 0.5

    @staticmethod
    def applies_to(case):
        return case.metadata["language"] == "ko"

    def measure(self, test_case, *args, **kwargs):
        self.score = float("요" in test_case.actual_output)
        return self.score

    async def a_measure(self, test_case, *args, **kwargs):
        return self.measure(test_case)


class _Hidden(PolitenessMetric):
    pass


class NotAMetric:
    pass
"""


@pytest.fixture(autouse=True)
def _prepared(tmp_path: Path) -> None:
    prepare_deepeval(tmp_path)


def test_the_shipped_metrics_are_there() -> None:
    metrics = load_metrics([])
    assert [metric.name for metric in metrics] == SHIPPED
    assert [metric.name for metric in metrics if metric.needs_judge] == ["no_hallucination", "rag_accuracy"]


def test_a_file_dropped_into_the_folder_is_a_metric(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLITE, encoding="utf-8")
    (tmp_path / "_helper.py").write_text("raise RuntimeError('not a metric file')", encoding="utf-8")
    (metric,) = [metric for metric in load_metrics([tmp_path]) if metric.name not in SHIPPED]
    assert (metric.name, metric.file, metric.needs_judge) == ("politeness", tmp_path / "mine.py", False)
    assert metric.build(None).threshold == 0.5
    before = metric.fingerprint
    (tmp_path / "mine.py").write_text(POLITE.replace("0.5", "0.6"), encoding="utf-8")
    (changed,) = [metric for metric in load_metrics([tmp_path]) if metric.name not in SHIPPED]
    assert changed.fingerprint != before
    assert changed.build(None).threshold == 0.6


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def broken(:", "SyntaxError"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, code: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    with pytest.raises(MetricRegistryError) as caught:
        load_metrics([tmp_path])
    assert f"{tmp_path / 'mine.py'} cannot be imported ({says}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLITE.replace("PolitenessMetric", "ExactAnswer"), encoding="utf-8")
    with pytest.raises(
        MetricRegistryError, match=r"mine.py: ExactAnswer has the name of a metric in .*exact_answer.py"
    ):
        load_metrics([tmp_path])


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MetricRegistryError, match="VLLM_QUALITY_METRICS_DIR"):
        load_metrics([tmp_path / "nowhere"])


def test_a_metric_that_cannot_be_made_or_asked_is_named(tmp_path: Path) -> None:
    code = POLITE.replace("    threshold = 0.5\n", "    def __init__(self, wanted):\n        pass\n").replace(
        "language", "tone"
    )
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    (metric,) = [metric for metric in load_metrics([tmp_path]) if metric.name not in SHIPPED]
    with pytest.raises(MetricRegistryError, match=r"mine.py: PolitenessMetric cannot be made \(TypeError"):
        metric.build(None)
    (item,) = read_items(snapshot(1), None)
    with pytest.raises(MetricRegistryError, match=r"mine.py: applies_to of PolitenessMetric failed \(KeyError"):
        metric.applies_to(item)

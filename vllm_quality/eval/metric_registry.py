"""The answer metrics: every deepeval metric class in `deepeval_tests/metrics/*.py` and the operator's folder.

A file dropped into the folder is all it takes. A class may say which items it is for (`applies_to(test_case)`), and asks for
the judge by taking a `model`, as deepeval's own metrics do. What `deepeval.json` adds is in `metric_config.py`.
"""

import hashlib
import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.items import Item
from vllm_quality.eval.result import in_short

PACKAGED_METRICS = Path(str(files("vllm_quality"))) / "eval" / "deepeval_tests" / "metrics"
_MODULES = "vllm_quality_metrics"
# deepeval's own that say yes or no whatever their parameters.
_YES_NO = {"ExactMatchMetric", "PatternMatchMetric"}


class MetricRegistryError(UserError):
    """A metric cannot be used."""


@dataclass(frozen=True)
class MetricClass:
    """A metric as found in a file or in the configuration.

    name            the class's name in snake_case, or the configured one; its metrics are `<name>_score` and, unless it says
                    yes or no (then that would be the same again), `<name>_pass_ratio`
    file            where it is defined or configured
    needs_judge     its constructor takes a `model`
    fingerprint     SHA-256 of its file and its configuration: a changed metric is another metric
    arguments       constructor's arguments
    threshold       an answer passes from here on; None leaves it to the class
    datasets        names of data sets it is for, as shell-style patterns; empty for all
    languages       languages it is for; empty for all
    required        fields of the test case without which it cannot measure
    conversational  it measures a whole conversation (`ConversationalTestCase`), of which the answer is the last turn
    """

    name: str
    cls: type[Any]
    file: Path
    needs_judge: bool
    fingerprint: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    datasets: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    conversational: bool = False

    @property
    def yes_no(self) -> bool:
        """Whether its only scores are 0 and 1."""
        strict = bool(self.arguments.get("strict_mode"))
        return strict or bool(getattr(self.cls, "yes_no", False)) or self.cls.__name__ in _YES_NO

    def build(self, judge: Any) -> Any:
        """A fresh instance: deepeval's metrics keep the state of one test case. Raises `MetricRegistryError`."""
        given = {**self.arguments, **({"model": judge} if self.needs_judge else {})}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deepeval's notes on what its releases changed, at each instance
                instance = self.cls(**given)
        except Exception as error:  # an operator's own code, or parameters that do not fit together
            raise MetricRegistryError(
                f"{self.file}: {self.cls.__name__} cannot be made ({in_short(error)}); give its arguments "
                "defaults (all but `model`), or set them in deepeval.json."
            ) from error
        if self.threshold is not None:
            instance.threshold = self.threshold
        return instance

    def case_of(self, item: Item, answer: str) -> Any:
        """The item and an answer as the test case that the metric measures."""
        return item.conversation(answer) if self.conversational else item.test_case(answer)

    def applies_to(self, item: Item) -> bool:
        """Whether the metric is meant for this item; a class that does not say is for all."""
        if self.datasets and not any(fnmatchcase(item.dataset, pattern) for pattern in self.datasets):
            return False
        if self.languages and item.language not in self.languages:
            return False
        case = self.case_of(item, "")
        for name in self.required:  # a conversation has passages turn by turn
            if (item.retrieval_context if name == "retrieval_context" else getattr(case, name)) in (None, []):
                return False
        says = getattr(self.cls, "applies_to", None)
        try:
            return says is None or bool(says(case))
        except Exception as error:  # an operator's own code
            raise MetricRegistryError(
                f"{self.file}: applies_to of {self.cls.__name__} failed ({in_short(error)}); it must be a "
                "staticmethod that takes any test case."
            ) from error


def load_metrics(folders: Sequence[Path]) -> list[MetricClass]:
    """The metrics of the packaged folder and of further ones, by name.

    Raises `MetricRegistryError`, one sentence, for a folder that is not there, a file that cannot be imported, and two
    classes of one name.
    """
    found: dict[str, MetricClass] = {}
    for folder in (PACKAGED_METRICS, *folders):
        if not folder.is_dir():
            raise MetricRegistryError(
                f"{folder} is not a folder of metrics; create it or unset VLLM_QUALITY_METRICS_DIR."
            )
        for file in sorted(folder.glob("*.py")):
            if not file.name.startswith("_"):
                for metric in _metrics_in(file):
                    if metric.name in found:
                        raise MetricRegistryError(
                            f"{file}: {metric.cls.__name__} has the name of a metric in {found[metric.name].file}; rename one."
                        )
                    found[metric.name] = metric
    return [found[name] for name in sorted(found)]


def _metrics_in(file: Path) -> Iterator[MetricClass]:
    from deepeval.metrics import BaseConversationalMetric, BaseMetric

    module = _import(file)
    fingerprint = hashlib.sha256(file.read_bytes()).hexdigest()
    for value in vars(module).values():
        own = inspect.isclass(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")
        if own and issubclass(value, BaseMetric | BaseConversationalMetric) and not inspect.isabstract(value):
            yield MetricClass(
                snake_case(value.__name__),
                value,
                file,
                takes_judge(value),
                fingerprint,
                conversational=issubclass(value, BaseConversationalMetric),
            )


def takes_judge(cls: type[Any]) -> bool:
    """Whether a metric's constructor asks for the judge."""
    return "model" in inspect.signature(cls.__init__).parameters


def _import(file: Path) -> ModuleType:
    # Named after the whole path: two folders may hold files of one name.
    name = f"{_MODULES}.{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}.{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise MetricRegistryError(f"{file} is no Python file that can be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # an operator's own code
        del sys.modules[name]
        raise MetricRegistryError(
            f"{file} cannot be imported ({in_short(error)}); correct it or take it out of the folder."
        ) from error
    return module


def snake_case(name: str) -> str:
    """A class's name as a metric's: `AnswerRelevancyMetric` is `answer_relevancy`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return words.removesuffix("_metric") or words

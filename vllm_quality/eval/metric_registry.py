"""The registry of answer metrics: every deepeval metric class in `deepeval_tests/metrics/*.py` and the operator's folder.

A file dropped into the folder is all it takes. A class may say which items it is for (`applies_to(test_case)`), and asks for
the judge by taking a `model`, as deepeval's own metrics do.
"""

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.result import in_short

PACKAGED_METRICS = Path(str(files("vllm_quality"))) / "eval" / "deepeval_tests" / "metrics"
_MODULES = "vllm_quality_metrics"


class MetricRegistryError(UserError):
    """A metric file cannot be used."""


@dataclass(frozen=True)
class MetricClass:
    """A metric as found in a file.

    name         the class's name in snake_case; its metrics are `<name>_score` and `<name>_pass_ratio`
    needs_judge  its constructor takes a `model`
    fingerprint  SHA-256 of its file: a changed metric is another metric
    """

    name: str
    cls: type[Any]
    file: Path
    needs_judge: bool
    fingerprint: str

    def build(self, judge: Any) -> Any:
        """A fresh instance: deepeval's metrics keep the state of one test case. Raises `MetricRegistryError`."""
        try:
            return self.cls(model=judge) if self.needs_judge else self.cls()
        except Exception as error:  # an operator's own code
            raise MetricRegistryError(
                f"{self.file}: {self.cls.__name__} cannot be made ({in_short(error)}); give its arguments "
                "defaults, all but `model`."
            ) from error

    def applies_to(self, case: Any) -> bool:
        """Whether the metric is meant for this test case; a class that does not say is for all."""
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
    from deepeval.metrics import BaseMetric

    module = _import(file)
    fingerprint = hashlib.sha256(file.read_bytes()).hexdigest()
    for value in vars(module).values():
        own = inspect.isclass(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")
        if own and issubclass(value, BaseMetric) and not inspect.isabstract(value):
            needs_judge = "model" in inspect.signature(value.__init__).parameters
            yield MetricClass(_snake(value.__name__), value, file, needs_judge, fingerprint)


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


def _snake(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return words.removesuffix("_metric") or words

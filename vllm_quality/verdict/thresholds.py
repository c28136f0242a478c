"""How much worse is worse: `configs/thresholds.yaml`, typed."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vllm_quality.errors import UserError
from vllm_quality.verdict.statistics.decide import Rule
from vllm_quality.verdict.types import FindingArea

Share = Annotated[float, Field(ge=0, le=100)]


class ThresholdsError(UserError):
    """thresholds.yaml cannot be used."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BaselineRule(_Strict):
    """Which earlier runs a release is held against.

    runs   the newest so many
    drift  and the oldest of so many, against a loss in small steps; 0 looks for none
    """

    runs: int = Field(5, ge=1, le=1000)
    drift: int = Field(20, ge=0, le=1000)
    include_worse: bool = False


class AreaRule(_Strict):
    """What is judged in an area, as shell-style patterns of metric paths (`*` also spans slashes), and how strictly.

    matters         smallest loss that must not go unseen: absolute for quality (0.02 is 2 points), relative for performance
    budget          loss that is accepted however certain it is, in the same unit
    max_regression  of the PRD's rule, relative
    """

    max_regression: Share = 0.10
    judged: tuple[str, ...]
    matters: Annotated[float, Field(gt=0)]
    budget: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _budget_below_what_matters(self) -> "AreaRule":
        if self.budget >= self.matters:
            raise ValueError("budget must be below matters")
        return self


class QualityRule(AreaRule):
    """Of scores: in points of a hundred."""

    judged: tuple[str, ...] = ("eval/*",)
    matters: Annotated[float, Field(gt=0)] = 0.02
    budget: Annotated[float, Field(ge=0)] = 0.005


class PerformanceRule(AreaRule):
    """Of latencies and throughputs: relative."""

    judged: tuple[str, ...] = ("load/*",)
    matters: Annotated[float, Field(gt=0)] = 0.10
    budget: Annotated[float, Field(ge=0)] = 0.03


# What the PRD's rule of a relative change means for a metric that statistics can judge: a remark, or an alarm of its own.
RuleAlone = Literal["remark", "alarm"]


class ConfirmationRule(_Strict):
    """Whether a suspicion is measured again before it is an alarm.

    time_s   no further step is measured again once this has passed; 0 measures nothing again
    certain  a loss of quality that is less likely than this by chance needs no second measurement
    """

    time_s: Annotated[float, Field(ge=0)] = 1800.0
    certain: Annotated[float, Field(ge=0, lt=0.5)] = 1e-6


class Thresholds(_Strict):
    """The whole file. Shares are relative: 0.10 is 10 %.

    alpha    the chance of any false alarm on a release that is no worse, over everything that is tested of it
    signals  what a loss of the right answers' logprob means: an alarm, or a remark
    """

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    baseline: BaselineRule = BaselineRule()
    quality: QualityRule = QualityRule()
    performance: PerformanceRule = PerformanceRule()
    rule_alone: RuleAlone = "remark"
    signals: RuleAlone = "alarm"
    confirmation: ConfirmationRule = ConfirmationRule()
    matters: dict[str, Annotated[float, Field(gt=0)]] = {}
    budget: dict[str, Annotated[float, Field(ge=0)]] = {"eval/*/gold_logprob": 0.01}
    max_regression: dict[str, Share] = {}
    floors: dict[str, float] = {}
    ceilings: dict[str, float] = {}

    def limit(self, metric: str, area: FindingArea) -> float | None:
        """The largest relative change in the bad direction that is still fine; None when the metric is not judged."""
        rule = self.quality if area == "quality" else self.performance
        if not any(fnmatchcase(metric, pattern) for pattern in rule.judged):
            return None
        own = _first_match(self.max_regression, metric)
        return rule.max_regression if own is None else own

    def rule(self, metric: str, area: FindingArea) -> Rule:
        """When a difference of this metric counts."""
        own = self.quality if area == "quality" else self.performance
        matters, budget = _first_match(self.matters, metric), _first_match(self.budget, metric)
        matters = own.matters if matters is None else matters
        return Rule(self.alpha, matters, min(own.budget if budget is None else budget, 0.99 * matters))

    def floor(self, metric: str) -> float | None:
        """The least value that is acceptable whatever the history; None without one."""
        return _first_match(self.floors, metric)

    def ceiling(self, metric: str) -> float | None:
        """The largest value that is acceptable whatever the history; None without one."""
        return _first_match(self.ceilings, metric)


def _first_match(patterns: dict[str, float], metric: str) -> float | None:
    return next((value for pattern, value in patterns.items() if fnmatchcase(metric, pattern)), None)


def load_thresholds(path: Path) -> Thresholds:
    """Read thresholds.yaml. Raises `ThresholdsError`, one sentence with the file and the key."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ThresholdsError(
            f"{path} cannot be read ({error.strerror}); restore it or unset VLLM_QUALITY_CONFIG_DIR."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ThresholdsError(f"{path} is not YAML ({' '.join(str(error).split())}); correct it.") from None
    try:
        return Thresholds.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ThresholdsError(f"{path}: {key}: {first['msg'][0].lower()}{first['msg'][1:]}; correct it.") from None

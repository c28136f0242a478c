"""How much worse is worse: `configs/thresholds.yaml`, typed."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vllm_quality.errors import UserError
from vllm_quality.verdict.types import FindingArea

Share = Annotated[float, Field(ge=0, le=100)]


class ThresholdsError(UserError):
    """thresholds.yaml cannot be used."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BaselineRule(_Strict):
    """Which earlier runs a release is held against."""

    runs: int = Field(5, ge=1, le=1000)
    include_worse: bool = False


class AreaRule(_Strict):
    """What is judged in an area, as shell-style patterns of metric paths (`*` also spans slashes), and how strictly."""

    max_regression: Share
    judged: tuple[str, ...]


class Thresholds(_Strict):
    """The whole file. Shares are relative: 0.10 is 10 %."""

    baseline: BaselineRule = BaselineRule()
    quality: AreaRule = AreaRule(max_regression=0.10, judged=("eval/*",))
    performance: AreaRule = AreaRule(max_regression=0.10, judged=("load/*",))
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

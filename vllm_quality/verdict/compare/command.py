"""`vllm-quality compare`: the verdict on two releases as a table, or as JSON."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from vllm_quality.results.database import ResultStore
from vllm_quality.settings import load_settings
from vllm_quality.verdict.compare.comparison import compare
from vllm_quality.verdict.compare.release import CompareError
from vllm_quality.verdict.compare.stored import find_release
from vllm_quality.verdict.compare.table import show
from vllm_quality.verdict.thresholds import Thresholds, load_thresholds

if TYPE_CHECKING:
    from rich.console import Console


def run_compare(
    console: "Console",
    baseline: str,
    candidate: str,
    *,
    alpha: float | None = None,
    matters: float | None = None,
    matters_load: float | None = None,
    budget: float | None = None,
    as_json: bool = False,
) -> int:
    """Compare what the two names stand for and print it; the exit code (see `Comparison`). Raises `CompareError`.

    What is None is as thresholds.yaml has it.
    """
    settings = load_settings()
    thresholds = load_thresholds(settings.config_file("thresholds.yaml"))
    thresholds = asked_for(thresholds, alpha, matters, matters_load, budget)
    store = ResultStore(settings.results)
    found = compare(find_release(baseline, store), find_release(candidate, store), thresholds)
    if as_json:
        console.file.write(json.dumps(asdict(found), ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    else:
        show(console, found)
    return found.exit_code


def asked_for(
    thresholds: Thresholds,
    alpha: float | None,
    matters: float | None,
    matters_load: float | None,
    budget: float | None,
) -> Thresholds:
    """The thresholds with what was asked for in place of an area's; what they say of single metrics stays.

    Raises `CompareError` for a budget that is not below what matters.
    """
    quality = thresholds.quality
    matters = quality.matters if matters is None else matters
    if budget is not None and budget >= matters:
        raise CompareError(f"--budget {budget:g} is not below --matters {matters:g}; accept less than what matters.")
    performance = thresholds.performance
    return thresholds.model_copy(
        update={
            "alpha": thresholds.alpha if alpha is None else alpha,
            "quality": quality.model_copy(
                update={"matters": matters, "budget": quality.budget if budget is None else budget}
            ),
            "performance": performance.model_copy(
                update={"matters": performance.matters if matters_load is None else matters_load}
            ),
        }
    )

"""The rows of a suite's samples that are scores: its signals left out."""

import polars as pl

from vllm_quality.eval.result import SuiteResult
from vllm_quality.verdict.metrics import definition_of


def scores_of(result: SuiteResult) -> pl.DataFrame:
    """The samples, in their order, without what only tells how an answer looks."""
    definitions = {name: definition_of(f"eval/x/{name}") for name in result.samples["metric"].unique()}
    signals = [name for name, known in definitions.items() if known is not None and known.signal]
    return result.samples.filter(~pl.col("metric").is_in(signals))

"""A stored run's scores, metric by metric, as the results store has them."""

from pathlib import Path

import polars as pl

from vllm_quality.results.database import ResultStore
from vllm_quality.results.rows import RunRow
from vllm_quality.verdict.compare.scores import CompareError, ItemScore, Scores, read_scores
from vllm_quality.verdict.metrics import definition_of

_SAMPLES = """
SELECT suite, metric, item_hash, score FROM samples FINAL WHERE run_id = {run_id:String} ORDER BY suite, metric, item_hash
"""


def find_scores(name: str, store: ResultStore) -> list[Scores]:
    """The scores of what `name` names: a file, else a run's id, else a tag's last finished evaluation.

    Raises `CompareError` where it is none of them.
    """
    path = Path(name)
    if path.suffix in (".jsonl", ".ndjson", ".json") or path.is_file():
        return [read_scores(path)]
    run = store.run(name)
    if run is None:
        finished = [row for row in store.runs(limit=50, model_tag=name) if row.finished_at is not None]
        run = finished[0] if finished else None
    if run is None:
        raise CompareError(f"{name!r} is no file, no stored run and no evaluated tag; name one of these.")
    return scores_of(run, store.query(_SAMPLES, {"run_id": run.run_id}))


def scores_of(run: RunRow, samples: pl.DataFrame) -> list[Scores]:
    """A run's judged metrics that are means over its items.

    samples  suite, metric, item_hash, score of the run
    A step whose numbers could not be trusted, or that was measured under other conditions, says so by its conditions.
    """
    found = []
    for (suite, metric), rows in samples.group_by("suite", "metric", maintain_order=True):
        path = f"eval/{suite}/{metric}"
        definition = definition_of(path)
        if definition is None or definition.higher_is_better is None:
            continue
        scored = rows.filter(pl.col("score").is_not_null())
        conditions = run.step_hashes.get(f"eval/{suite}")
        found.append(
            Scores(
                name=path,
                items={item: ItemScore(score) for item, score in scored.select("item_hash", "score").iter_rows()},
                unscored=rows.height - scored.height,
                higher_is_better=definition.higher_is_better,
                conditions={"conditions": conditions or f"run {run.run_id} cannot be trusted"},
            )
        )
    return found

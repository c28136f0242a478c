"""A release as the results store has it: its last finished run, with the rows of that run alone."""

from pathlib import Path

from vllm_quality.results.database import ResultStore
from vllm_quality.results.rows import RunRow
from vllm_quality.verdict.compare.release import CompareError, Release
from vllm_quality.verdict.compare.scores import read_scores

# A second measurement has rows of its own, under another id: they are not these.
_SAMPLES = """
SELECT suite, metric, item_hash, prompt_hash, score, judge, prompt_tokens, cluster, slices FROM samples FINAL
WHERE run_id = {run_id:String} AND score IS NOT NULL ORDER BY suite, metric, item_hash
"""
_REQUESTS = """
SELECT scenario, stage, request_index, item, due_s, sent_s, first_token_s, last_token_s, end_s, output_tokens, outcome
FROM requests FINAL WHERE run_id = {run_id:String} ORDER BY scenario, stage, request_index
"""


def find_release(name: str, store: ResultStore) -> Release:
    """What `name` names: a file, else a run's id, else a tag's last finished evaluation. Raises `CompareError`."""
    path = Path(name)
    if path.suffix in (".jsonl", ".ndjson", ".json") or path.is_file():
        return read_scores(path)
    run = _run(name, store)
    metrics = store.results_of(run.run_id)
    metrics = {metric: value for metric, value in metrics.items() if metric.startswith(("eval/", "load/"))}
    if not metrics:
        raise CompareError(
            f"Run {run.run_id} of {run.model_tag} has no figures in the results store; evaluate the tag again."
        )
    own = {"run_id": run.run_id}
    return Release(
        name=run.run_id,
        label=f"{run.model_tag} (run {run.run_id})",
        metrics=metrics,
        samples=store.query(_SAMPLES, own),
        requests=store.query(_REQUESTS, own),
        conditions=run.step_hashes,
        facts={"hardware": run.hardware, "profile": run.profile},
    )


def _run(name: str, store: ResultStore) -> RunRow:
    run = store.run(name)
    runs = store.runs(limit=50, model_tag=name) if run is None else [run]
    if not runs:
        raise CompareError(f"{name!r} is no file, no stored run and no evaluated tag; name one of these.")
    finished = [each for each in runs if each.finished_at is not None]
    if not finished:
        raise CompareError(f"Run {runs[0].run_id} of {runs[0].model_tag} is not finished; compare it once it is.")
    return finished[0]

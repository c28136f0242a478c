"""What Evalchemy leaves behind (commit 6ed6741): `results_<date>.json`, with a form of its own for each benchmark."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_quality.eval.answers import Status
from vllm_quality.eval.lm_metrics import as_number, metric_name, numbers
from vllm_quality.eval.result import hash_of

# Its names for what the registry of metrics knows by another.
_NAMES = {
    "accuracy": "acc",
    "accuracy_avg": "acc",
    "overall_accuracy": "acc",
    "accuracy_std_err": "acc_stderr",
    "num_total": "total_count",
    "num_solved": "solved_count",
    "num_examples": "total_count",
    "total_examples": "total_count",
    "num_repeat": "repeats_count",
}
_PROMPTS = ("problem", "question", "prompt", "instruction", "question_content")
_EXPECTED = ("expected_answer", "answer", "correct_answer", "reference_solution", "target")
_OUTPUTS = ("model_outputs", "model_output", "output", "response", "content")
_SCORES = ("correctness", "correct", "is_correct", "passed", "score")


@dataclass(frozen=True)
class Example:
    """One item of a benchmark, as far as its results tell.

    score  1 for right, 0 for wrong; None where the results do not say it per item
    """

    item_hash: str
    prompt: str
    answer: str
    expected: str
    score: float | None
    status: Status

    def sample_row(self, suite: str) -> dict[str, object]:
        """The item's row of the `samples` table, without the columns of which Evalchemy tells nothing."""
        return {
            "suite": suite,
            "item_hash": self.item_hash,
            "prompt_hash": hash_of(self.prompt),
            "metric": "acc",
            "score": self.score,
            "status": self.status,
        }

    def text_row(self, suite: str) -> dict[str, object]:
        """The item's row of the texts."""
        return {
            "suite": suite,
            "item_hash": self.item_hash,
            "prompt": self.prompt,
            "answer": self.answer,
            "expected": self.expected,
            "error": None if self.answer else "the answer is empty",
        }


def read_results(folder: Path) -> Mapping[str, Any] | None:
    """The newest results below an `--output_path`: task -> its own results; None when there are none."""
    files = sorted(folder.rglob("results_*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    if not files:
        return None
    try:
        stored = json.loads(files[-1].read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    results = stored.get("results") if isinstance(stored, dict) else None
    return results if isinstance(results, dict) else None


def scores(found: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one task's results by our names: lm-eval's "metric,filter" or a benchmark's own.

    A benchmark's standard error is over its repetitions, not over its items: that is all it tells.
    """
    named = numbers(found)
    own = {key: value for key, value in found.items() if "," not in key and key != "alias"}
    parts = {key: value for key, value in own.items() if isinstance(value, dict) and _numbers(value)}
    for key, value in (_numbers(own) | (_numbers(next(iter(parts.values()))) if len(parts) == 1 else {})).items():
        named.setdefault(_NAMES.get(key, metric_name(key, "", 1)), value)
    if len(parts) > 1:
        for part, inner in parts.items():
            named |= {f"{metric_name(part, '', 1)}/{metric_name(key, '', 1)}": n for key, n in _numbers(inner).items()}
    return named


def examples(task: str, found: Mapping[str, Any]) -> Iterator[Example]:
    """The items of one task's results, where a benchmark writes them down."""
    rows = found.get("examples")
    for position, row in enumerate(rows if isinstance(rows, list) else []):
        if not isinstance(row, dict):
            continue
        answer, score = _text(_first(row, _OUTPUTS)), as_number(_first(row, _SCORES))
        identity = row.get("id", row.get("problem_id", _first(row, _PROMPTS)))
        yield Example(
            item_hash=hash_of([task, position if identity is None else identity]),
            prompt=_text(_first(row, _PROMPTS)),
            answer=answer,
            expected=_text(_first(row, _EXPECTED)),
            score=score,
            status="ok" if answer else "model_error",
        )


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {key: number for key, value in found.items() if (number := as_number(value)) is not None}


def _first(row: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((row[key] for key in keys if row.get(key) is not None), None)


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(filter(None, value))
    return json.dumps(value, ensure_ascii=False, default=str)

"""The rows of a saved eval: those of its newest run, from wherever in the export they can be had."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from vllm_quality.eval.evals.openai_export import Export, Object
from vllm_quality.eval.evals.openai_file import InputMessages
from vllm_quality.eval.evals.plan import BadRow
from vllm_quality.eval.evals.rows import read_lines

SAMPLED_INPUT = "sampled_input"  # in an item: the messages that OpenAI's run really sent


@dataclass
class Rows:
    """The rows of one run.

    rows       data rows, {"item": …} and perhaps {"sample": …}
    answered   the same items with the answers that OpenAI's run got, and its results, where output items were saved
    source     the run's data source without its rows; None where none was saved
    as_sent    whether the items hold the messages that were sent
    notes      what is not as it was
    """

    rows: list[Object]
    source: Mapping[str, Any] | None
    answered: list[tuple[Object, Sequence[Object]]] = field(default_factory=list)
    as_sent: bool = False
    notes: list[str] = field(default_factory=list)


def rows_of(eval_id: str, export: Export) -> Rows | str:
    """The rows of the newest run that has some, or why there are none."""
    reasons = []
    for run in export.runs_of(eval_id):
        found = _of_run(run, export)
        if isinstance(found, Rows):
            return found
        reasons.append(found)
    return reasons[0] if reasons else "no run of it was saved, and so no rows (GET /v1/evals/{id}/runs)"


def _of_run(run: Object, export: Export) -> Rows | str:
    given = run.get("data_source")
    source = given if isinstance(given, dict) else None
    items = list(export.items.get(str(run.get("id")), {}).values())
    rows = _from_source(source, export)
    usable = source is not None and _sends(source)
    if isinstance(rows, list) and usable:
        found = Rows(rows, source)
    elif items:
        found = _from_items(items, source if usable and _holds_rows(source) else None)
        found.notes += _lacking(run, items, export)
    elif isinstance(rows, list):
        return "its input_messages are not of texts alone, and no output items were saved that tell what was sent"
    else:
        return rows
    found.answered = [pair for item in items if (pair := _answered(item, as_sent=found.as_sent)) is not None]
    return found


def _from_source(source: Object | None, export: Export) -> list[Object] | str:
    where = source.get("source") if source else None
    if not isinstance(where, dict):
        return "neither the run nor its output items were saved (GET /v1/evals/{id}/runs/{run}/output_items)"
    if isinstance(where.get("content"), list):
        return [row for row in where["content"] if isinstance(row, dict)]
    if where.get("type") != "file_id":
        return f"OpenAI holds its rows ({where.get('type')}); save the run's output items, which have them"
    path = export.file_of(str(where.get("id")))
    if path is None:
        return f"its rows are OpenAI's file {where.get('id')}; save its content as {where.get('id')}.jsonl"
    values = [value for _, value in read_lines(path)]
    return [value if isinstance(value, dict) and not isinstance(value, BadRow) else {} for value in values]


def _holds_rows(source: Object | None) -> bool:
    """Whether the items are those of a file, so that the run's template fits them."""
    where = (source or {}).get("source")
    return isinstance(where, dict) and where.get("type") in ("file_content", "file_id")


def _sends(source: Object) -> bool:
    """Whether what the run sends can be sent here: texts alone."""
    given = source.get("input_messages")
    if given is None:
        return True
    try:
        InputMessages.model_validate(given)
    except ValidationError:
        return False
    return True


def _from_items(items: Sequence[Object], source: Object | None) -> Rows:
    """Rows out of output items. Without a template that fits, the messages that were sent are kept in them."""
    if source is not None:
        return Rows([{"item": _item(item)} for item in items], source)
    rows = [row for item in items if (row := _as_sent(item)) is not None]
    found = Rows(rows, None, as_sent=True)
    found.notes.append(f"the messages are those that OpenAI's run sent, kept in item.{SAMPLED_INPUT}")
    if len(rows) < len(items):
        found.notes.append(f"{len(items) - len(rows)} rows were left out, whose messages are not texts alone")
    return found


def _item(item: Object) -> dict[str, Any]:
    """The data row; some of OpenAI's answers have it once more within {"item": …}."""
    row = item.get("datasource_item")
    if not isinstance(row, dict):
        return {}
    inner = row.get("item")
    return dict(inner) if isinstance(inner, dict) and row.keys() <= {"item", "sample"} else dict(row)


def _as_sent(item: Object) -> Object | None:
    sample = item.get("sample")
    sent = sample.get("input") if isinstance(sample, dict) else None
    messages = list(_texts(sent)) if isinstance(sent, list) else []
    if not messages or not isinstance(sent, list) or len(messages) < len(sent):
        return None
    return {"item": {**_item(item), SAMPLED_INPUT: messages}}


def _texts(sent: Sequence[Any]) -> Iterator[dict[str, str]]:
    for message in sent:
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system", "developer"):
            continue
        if isinstance(message.get("content"), str) and not message.get("tool_calls"):
            yield {"role": message["role"], "content": message["content"]}


def _lacking(run: Object, items: Sequence[Object], export: Export) -> Iterator[str]:
    counts = run.get("result_counts")
    total = counts.get("total") if isinstance(counts, dict) else None
    if isinstance(total, int) and total > len(items):
        yield f"only {len(items)} of the run's {total} output items were saved"
    elif f"output items of {run.get('id')}" in export.unfinished:
        yield "the last page of its output items was not saved (has_more is true on all that were)"


def _answered(item: Object, *, as_sent: bool) -> tuple[Object, Sequence[Object]] | None:
    """A row with OpenAI's answer, and OpenAI's results on it; None where there was no answer."""
    sample, results = item.get("sample"), item.get("results")
    row = _as_sent(item) if as_sent else {"item": _item(item)}
    said = sample.get("output") if isinstance(sample, dict) else None
    messages = [message for message in said if isinstance(message, dict)] if isinstance(said, list) else []
    texts = [message["content"] for message in messages if isinstance(message.get("content"), str)]
    if not isinstance(sample, dict) or row is None or not texts:
        return None
    told = {name: sample[name] for name in ("model", "finish_reason", "input") if sample.get(name) is not None}
    listed = [result for result in results or () if isinstance(result, dict)] if isinstance(results, list) else []
    return {**row, "sample": {"output_text": texts[-1], **told}}, listed


def as_lines(rows: Sequence[Object]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

"""Evals saved from OpenAI as files of ours, `<name>.json` and `<name>.jsonl`, and what of them could not be carried over."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vllm_quality.eval.evals.load import load_plan
from vllm_quality.eval.evals.openai_agreement import Agreement, agreement_with
from vllm_quality.eval.evals.openai_export import Export, Object, read_export
from vllm_quality.eval.evals.openai_file import DataSourceConfig, SourceSampling
from vllm_quality.eval.evals.openai_rows import SAMPLED_INPUT, Rows, as_lines, rows_of
from vllm_quality.eval.evals.plan import EvalError
from vllm_quality.eval.graders.schema import AnyGrader, Grader, LabelModel, ScoreModel, parts_of, templates_of
from vllm_quality.eval.graders.templates import references
from vllm_quality.eval.suites import safe_name

_GRADERS: TypeAdapter[Grader] = TypeAdapter(AnyGrader)
_MOST_SHOWN = 3
_OF_ANSWERS = ("output_text", "output_json", "choices", "finish_reason", "input", "model")  # what answers have here


@dataclass(frozen=True)
class Imported:
    """What became of one eval.

    path       its file; None where nothing of it could be carried over
    notes      what is left out or done in another way, a part of a sentence each
    agreement  how our graders agree with OpenAI's results, where those were saved
    """

    title: str
    path: Path | None = None
    rows: int = 0
    criteria: Sequence[str] = ()
    notes: Sequence[str] = ()
    agreement: Mapping[str, Agreement] = field(default_factory=dict)


def import_evals(paths: Sequence[Path], out: Path) -> tuple[list[Imported], list[str]]:
    """Write what can be run of an export into a folder; what became of each eval, and what holds for all.

    Raises `EvalError` when the export cannot be read or a file is there already.
    """
    export = read_export(paths)
    names = _names(export)
    for name in names.values():
        for path in (out / f"{name}.json", out / f"{name}.jsonl"):
            if path.exists():
                raise EvalError(f"{path} is there already; move it away, or choose another --out.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        found = [_import(eval_id, stored, names[eval_id], export, out) for eval_id, stored in export.evals.items()]
    except OSError as error:
        raise EvalError(f"{out} cannot be written ({error.strerror}); choose another --out.") from None
    return found, list(_of_all(export))


def _names(export: Export) -> dict[str, str]:
    names: dict[str, str] = {}
    for eval_id, stored in export.evals.items():
        wanted = safe_name(str(stored.get("name") or eval_id)).strip("_") or safe_name(eval_id)
        taken = wanted in names.values() or wanted == "deepeval"
        names[eval_id] = f"{wanted}_{safe_name(eval_id)}" if taken else wanted
    return names


def _of_all(export: Export) -> Iterator[str]:
    if "evals" in export.unfinished:
        yield "the last page of the evals was not saved (has_more is true on all that were)"
    if export.unknown:
        yield f"nothing of OpenAI's Evals is in {', '.join(sorted(set(export.unknown)))}"
    orphans = {str(run.get("eval_id")) for run in export.runs} - export.evals.keys() - {"None"}
    if orphans:
        yield f"runs were saved of evals that were not: {', '.join(sorted(orphans))}"


def _import(eval_id: str, stored: Object, name: str, export: Export, out: Path) -> Imported:
    title = str(stored.get("name") or eval_id)
    rows = rows_of(eval_id, export)
    if isinstance(rows, str):
        return Imported(title, notes=[rows])
    notes = list(rows.notes)
    asks = any("sample" not in row for row in rows.rows)
    criteria = list(_criteria(stored, notes, asks=asks))
    if not criteria:
        return Imported(title, notes=notes)
    try:
        config, source = _config(stored, rows), _source(rows, notes, asks=asks)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return Imported(title, notes=[*notes, f"{'.'.join(map(str, first['loc']))} cannot be read: {first['msg']}"])
    content = {
        **{key: stored[key] for key in ("name", "id", "metadata") if stored.get(key) is not None},
        "data": f"{name}.jsonl",
        "data_source_config": config,
        "testing_criteria": criteria,
        "data_source": source,
    }
    return _written(out, name, content, rows, Imported(title, notes=notes))


def _written(out: Path, name: str, content: Mapping[str, Any], rows: Rows, told: Imported) -> Imported:
    """The eval's two files, tried at once: what cannot be run is not left there."""
    path, data = out / f"{name}.json", out / f"{name}.jsonl"
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    data.write_text(as_lines(rows.rows), encoding="utf-8")
    try:
        plan = load_plan(path)
    except EvalError as error:
        path.unlink()
        data.unlink()
        return replace(told, notes=[*told.notes, str(error).replace(f"{path}", "it").rstrip(".")])
    notes = [*told.notes, *(f"line {row.line} of its rows {row.reason}" for row in plan.bad_rows[:_MOST_SHOWN])]
    if len(plan.bad_rows) > _MOST_SHOWN:
        notes.append(f"{len(plan.bad_rows)} rows are left out in all")
    graders = [(str(entry.get("id", "")), _GRADERS.validate_python(entry)) for entry in content["testing_criteria"]]
    agreement = agreement_with(graders, rows)
    return Imported(told.title, path, len(plan.rows), plan.criteria, notes, agreement)


def _criteria(stored: Object, notes: list[str], *, asks: bool) -> Iterator[Object]:
    """The criteria that can be graded here; the others, and the judge's part, go to the notes."""
    judges = set()
    listed = stored.get("testing_criteria")
    for entry in listed if isinstance(listed, list) else []:
        name = entry.get("name", "?") if isinstance(entry, dict) else "?"
        try:
            grader = _GRADERS.validate_python(entry)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            notes.append(f"criterion {name!r} is left out: {reason[0].lower()}{reason[1:]}")
            continue
        unknown = _unknown_field(grader) if asks else None
        if unknown is not None:
            notes.append(f"criterion {name!r} is left out: {unknown} is not among what answers have here")
            continue
        judges |= {part.model for part in parts_of(grader) if isinstance(part, ScoreModel | LabelModel) and part.model}
        yield entry
    if judges:
        notes.append(f"the configured judge grades in place of {', '.join(sorted(judges))}, at temperature 0")


def _unknown_field(grader: Grader) -> str | None:
    """A field of the sample that a grader looks at and that no answer has here, such as tool calls."""
    for template in templates_of(grader):
        for found in references(template):
            if found.namespace == "sample" and found.steps and found.steps[0] not in _OF_ANSWERS:
                return found.text
    return None


def _config(stored: Object, rows: Rows) -> Object:
    given = stored.get("data_source_config")
    config = dict(given) if isinstance(given, dict) else {"type": "custom"}
    if not rows.as_sent:
        return config
    # The rows have one field more than OpenAI's schema knows.
    known = DataSourceConfig.model_validate(config).of_items
    return {"type": config.get("type", "custom"), "item_schema": {**(known or {}), "additionalProperties": True}}


def _source(rows: Rows, notes: list[str], *, asks: bool) -> Object:
    """The run's data source without its rows and without what cannot be done here."""
    given = rows.source or {}
    if rows.source is None:
        messages: Any = {"type": "item_reference", "item_reference": f"item.{SAMPLED_INPUT}"}
    else:
        messages = given.get("input_messages")
    kept: dict[str, Any] = {"type": given.get("type", "completions")}
    if messages is not None:
        kept["input_messages"] = messages
    sampling = given.get("sampling_params")
    wanted = dict(sampling) if isinstance(sampling, dict) else {}
    if wanted.pop("tools", None):
        notes.append("its tools are left out: the release is asked for a text")
    if wanted.get("reasoning_effort"):
        notes.append(f"reasoning_effort {wanted['reasoning_effort']!r} is not sent")
    if wanted:
        SourceSampling.model_validate(wanted)
        kept["sampling_params"] = wanted
    if asks:
        notes.append(f"the release is asked in place of {given.get('model') or 'the model of the run'}")
        if wanted.get("temperature") is None:
            notes.append("it is asked at temperature 0, as the run gives none")
    else:
        notes.append("its rows have their answers, which are graded as they are")
    return kept

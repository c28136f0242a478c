"""What was saved from OpenAI's Evals API before it closes: answers of the API and data files, sorted by what they are.

Taken are the answers of `GET /v1/evals`, `/v1/evals/{id}`, `/v1/evals/{id}/runs` and `…/runs/{id}/output_items`, page by page
or alone, as the API wrote them or as OpenAI's Python library prints its objects; and the contents of data files
(`GET /v1/files/{id}/content`) under names that hold the file's id.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vllm_quality.eval.evals.plan import EvalError

_NESTED = ("eval", "evals", "run", "runs", "output_items")
Object = Mapping[str, Any]


@dataclass
class Export:
    """What was found.

    evals    by id
    runs     in the order found
    items    output items by the id of their run, each once, by the number of their data row
    files    files of data rows
    unfinished  kinds of lists of which a last page is missing
    unknown     files, or parts of them, that are nothing of this
    """

    evals: dict[str, Object] = field(default_factory=dict)
    runs: list[Object] = field(default_factory=list)
    items: dict[str, dict[str, Object]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    unfinished: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)

    def runs_of(self, eval_id: str) -> list[Object]:
        """The eval's runs, newest first; one of which only output items were saved has its ids alone."""
        own = [run for run in self.runs if run.get("eval_id", eval_id) == eval_id]
        own.sort(key=_created_at, reverse=True)
        known = {str(run.get("id")) for run in own}
        bare = {
            run_id: {"id": run_id, "eval_id": eval_id}
            for run_id, items in self.items.items()
            if run_id not in known and any(item.get("eval_id") == eval_id for item in items.values())
        }
        return [*own, *bare.values()]

    def file_of(self, file_id: str) -> Path | None:
        """The saved file of an id."""
        return next((path for path in self.files if file_id in path.name), None)


def read_export(paths: Sequence[Path]) -> Export:
    """What is in these files, and in the .json and .jsonl files of these folders. Raises `EvalError`."""
    export, pages = Export(), dict[str, bool]()
    for path in _files(paths):
        if path.suffix.lower() != ".jsonl":
            _take(_json(path), path.name, export, pages)
            continue
        lines = _lines(path)
        if lines and isinstance(lines[0], dict) and _kind(lines[0]) is not None:
            _take(lines, path.name, export, pages)
        else:
            export.files.append(path)
    export.unfinished = {kind for kind, has_last in pages.items() if not has_last}
    if not export.evals:
        raise EvalError(
            f"There is no eval in {', '.join(map(str, paths))}; save what GET /v1/evals answers as a .json file there."
        )
    return export


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.suffix.lower() in (".json", ".jsonl"))
        elif path.is_file():
            yield path
        else:
            raise EvalError(f"{path} is not there; give files or folders of what was saved from OpenAI's API.")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvalError(f"{path} is not JSON ({' '.join(str(error).split())[:150]}); save it again.") from None


def _lines(path: Path) -> list[Any]:
    """The values of a file of JSON lines; a broken line ends it, for a data file is checked line by line later on."""
    found = []
    try:
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            if line.strip():
                found.append(json.loads(line))
    except OSError as error:
        raise EvalError(f"{path} cannot be read ({error.strerror}); save it again.") from None
    except (ValueError, RecursionError):
        pass
    return found


def _created_at(run: Object) -> float:
    told = run.get("created_at")
    return float(told) if isinstance(told, int | float) else 0.0


def _kind(value: Object) -> str | None:
    if value.get("object") == "eval" or "testing_criteria" in value:
        return "evals"
    if value.get("object") == "eval.run" or {"eval_id", "data_source"} <= value.keys():
        return "runs"
    if value.get("object") == "eval.run.output_item" or "datasource_item" in value:
        return "output items"
    return None


def _take(value: Any, where: str, export: Export, pages: dict[str, bool]) -> None:
    if isinstance(value, list):
        for entry in value:
            _take(entry, where, export, pages)
    elif not isinstance(value, dict):
        export.unknown.append(where)
    elif isinstance(value.get("data"), list) and _kind(value) is None:
        kinds = {_page_of(entry) for entry in value["data"] if isinstance(entry, dict)} - {None}
        for kind in kinds:
            pages[str(kind)] = pages.get(str(kind), False) or not value.get("has_more")
        _take(value["data"], where, export, pages)
    elif (kind := _kind(value)) is not None:
        _keep(kind, value, export)
        _take([value[name] for name in ("run", "runs", "output_items") if name in value], where, export, pages)
    elif any(name in value for name in _NESTED):
        _take([value[name] for name in _NESTED if name in value], where, export, pages)
    else:
        export.unknown.append(where)


def _page_of(entry: Object) -> str | None:
    """What a list is of: output items of one run are another list than those of the next."""
    kind = _kind(entry)
    owner = {"runs": entry.get("eval_id"), "output items": entry.get("run_id")}.get(kind or "")
    return f"{kind} of {owner}" if kind and owner else kind


def _keep(kind: str, value: Object, export: Export) -> None:
    if kind == "evals":
        export.evals[str(value.get("id") or value.get("name") or f"eval_{len(export.evals) + 1}")] = value
    elif kind == "runs":
        export.runs.append(value)
    else:
        own = export.items.setdefault(str(value.get("run_id", "")), {})
        own.setdefault(str(value.get("datasource_item_id", value.get("id", len(own)))), value)

"""The folder that `vllm-quality dedup` writes: kept.parquet, removed.parquet, pairs.parquet, manifest.json; all of it or nothing."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.datasets.dedup.cli.inputs import ROWS, Rows
from vllm_quality.datasets.dedup.normal import shown
from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.dedup.run import Deduplication
from vllm_quality.datasets.row_file import RowFile
from vllm_quality.datasets.schema import DatasetError

MANIFEST_VERSION = 1

# position   of the row among all rows that were read, from 0
# line       in its file: of a JSON list or parquet file, the position from 1
# fields     what else the row has, as JSON; the whole row where it does not come as id and text
ROW_SCHEMA: Mapping[str, pl.DataType] = {
    "id": pl.String(),
    "dataset": pl.String(),
    "text": pl.String(),
    "reference": pl.String(),
    "position": pl.Int64(),
    "line": pl.Int64(),
    "fields": pl.String(),
}
_PACKAGES = ("vllm-quality", "numpy", "polars", "rapidfuzz")


@contextmanager
def whole_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write to, which takes the place of `out` when the block ends well, and is gone otherwise.

    Raises `DatasetError` when there is something at `out` already, unless `overwrite` says that it goes.
    """
    if out.exists() and not overwrite:
        raise DatasetError(f"{out} exists already; choose another folder, or say --overwrite.")
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is no folder; choose another one.")
    unfinished = out.with_name(f".{out.name}-{uuid.uuid4().hex[:8]}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if out.exists():
            old = out.with_name(f".{out.name}-{uuid.uuid4().hex[:8]}")
            out.rename(old)
            unfinished.rename(out)
            shutil.rmtree(old)
        else:
            unfinished.rename(out)
    except OSError as error:
        raise DatasetError(f"{out} cannot be written ({error.strerror}); look after that folder.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_outcome(folder: Path, rows: Rows, policy: Policy, outcome: Deduplication) -> dict[str, Any]:
    """Write the files into a folder; the manifest."""
    _write_rows(folder / "kept.parquet", rows, outcome, kept=True)
    _write_rows(folder / "removed.parquet", rows, outcome, kept=False)
    outcome.ledger.write_parquet(folder / "pairs.parquet", compression="zstd", statistics=False)
    manifest = {
        "manifest_version": MANIFEST_VERSION,
        "rows": len(rows.corpus),
        "kept": int(outcome.kept.sum()),
        "sets": {source.name: _set_entry(rows, policy, outcome, at) for at, source in enumerate(rows.sets)},
        "policies": _policies(rows, policy),
        "pairs": _pair_counts(outcome.ledger),
        "contaminated_goldens": outcome.contamination.select("golden_set", "golden_id").n_unique(),
        "alarms": list(outcome.alarms),
        "certificate": asdict(outcome.certificate),
        "method": json.loads(json.dumps(outcome.method, default=str)),
        "files": {path.name: _file_entry(path) for path in sorted(folder.glob("*.parquet"))},
        "versions": {package: version(package) for package in _PACKAGES},
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=1)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return manifest


def _write_rows(path: Path, rows: Rows, outcome: Deduplication, *, kept: bool) -> None:
    corpus = rows.corpus
    references = corpus.references or [None] * len(corpus)
    as_they_are = {source.name for source in rows.sets if source.format == ROWS}
    with RowFile(path, ROW_SCHEMA) as file:
        for at in (outcome.kept == kept).nonzero()[0].tolist():
            text, fields = corpus.raw[at], rows.fields[at]
            text = text if corpus.datasets[at] in as_they_are else shown(text)
            row = {
                "id": corpus.ids[at],
                "dataset": corpus.datasets[at],
                "text": text,
                "reference": references[at],
                "position": at,
                "line": rows.lines[at],
                "fields": fields,
            }
            file.append(row, len(text) + len(fields) + 200)


def _set_entry(rows: Rows, policy: Policy, outcome: Deduplication, at: int) -> dict[str, Any]:
    source = rows.sets[at]
    counts = outcome.sets[source.name]
    return {
        "file": source.path.name,
        "sha256": source.sha256,
        "format": source.format,
        "priority": policy.priorities.get(source.name, 0),
        "role": policy.roles.get(source.name),
        "guard": policy.guard(source.name),
        "rows": source.rows,
        "bad_rows": source.bad_rows,
        "exact": counts.exact,
        "near": counts.near,
        "kept": counts.kept,
        "flagged": counts.flagged,
        "held_back": counts.held_back,
        "quarantined": [{"line": row.line, "why": row.why} for row in source.quarantined],
    }


def _policies(rows: Rows, policy: Policy) -> dict[str, str]:
    """What holds for each set and for each two sets, as "a" and "a:b"."""
    names = [source.name for source in rows.sets]
    within = {name: policy.rule(name, name) for name in names}
    across = {f"{one}:{other}": policy.rule(one, other) for at, one in enumerate(names) for other in names[at + 1 :]}
    return within | across


def _pair_counts(ledger: pl.DataFrame) -> dict[str, int]:
    """Pairs that are listed, by kind and decision, such as "near drop_b"."""
    counted = ledger.group_by("kind", "decision").len().sort("kind", "decision")
    return {f"{kind} {decision}": count for kind, decision, count in counted.iter_rows()}


def _file_entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}

"""The recorded set on disk: one small file per release, and the items that they share.

`recorded/items.json.gz`    suite -> its items in a fixed order: name (a hash), slice, cluster (a hash)
`recorded/NAME.json.gz`     one release: scores in the items' order; no text of any benchmark
`recorded/load_NAME.json.gz`  one load run: its requests' clocks, in the tape's order
`recorded/manifest.json`    what was recorded, for people: model, versions, parameters, accuracies
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
CLOCKS = ("due_s", "sent_s", "headers_s", "first_token_s", "last_token_s", "end_s")  # of `results.rows.REQUEST_SCHEMA`
_ITEMS = "items.json.gz"


@dataclass(frozen=True)
class Items:
    """A suite's items, one entry each. `metric` is the primary one."""

    language: str
    metric: str
    names: Sequence[str]
    slices: Sequence[str]
    clusters: Sequence[str]


@dataclass(frozen=True)
class SuiteRun:
    """One release's scores of a suite, by metric, in the items' order (None where an item has none); and its own figures."""

    scores: Mapping[str, Sequence[float | None]]
    metrics: Mapping[str, float]
    problem: str | None
    seconds: float


@dataclass(frozen=True)
class Release:
    """A recorded release. `about`: when, on what, with which versions."""

    name: str
    expected: str
    kind: str
    parameters: Mapping[str, Any]
    about: Mapping[str, Any]
    suites: Mapping[str, SuiteRun]


@dataclass(frozen=True)
class LoadRun:
    """A recorded load run. One entry per request of the tape in `outcome`, `output_tokens` and each of `clocks` (seconds)."""

    name: str
    expected: str
    kind: str
    about: Mapping[str, Any]
    outcome: Sequence[str]
    output_tokens: Sequence[int | None]
    clocks: Mapping[str, Sequence[float | None]]
    metrics: Mapping[str, float]
    problem: str | None


def save_items(items: Mapping[str, Items], folder: Path = RECORDED) -> None:
    """Write the items of all suites."""
    _write(folder / _ITEMS, {suite: asdict(each) for suite, each in items.items()})


def load_items(folder: Path = RECORDED) -> dict[str, Items]:
    """The items of all suites."""
    return {suite: Items(**told) for suite, told in _read(folder / _ITEMS).items()}


def save_release(release: Release, folder: Path = RECORDED) -> None:
    """Write one release."""
    _write(folder / f"{release.name}.json.gz", asdict(release))


def load_releases(folder: Path = RECORDED) -> list[Release]:
    """All recorded releases, by name."""
    found = []
    for path in sorted(folder.glob("*.json.gz")):
        told = _read(path)
        if path.name != _ITEMS and "suites" in told:
            told["suites"] = {suite: SuiteRun(**run) for suite, run in told["suites"].items()}
            found.append(Release(**told))
    return found


def save_load(run: LoadRun, folder: Path = RECORDED) -> None:
    """Write one load run."""
    _write(folder / f"{run.name}.json.gz", asdict(run))


def load_recordings(folder: Path = RECORDED) -> list[LoadRun]:
    """All recorded load runs, by name."""
    told = [_read(path) for path in sorted(folder.glob("load_*.json.gz"))]
    return [LoadRun(**each) for each in told]


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Without a time in the file, the same content is the same bytes.
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _read(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return told

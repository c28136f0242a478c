"""Puts a load run's files in a folder, and that folder into an object store."""

import json
import shlex
import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl

from vllm_quality.load.errors import LoadError
from vllm_quality.load.output.lifecycle import lifecycle_reports
from vllm_quality.load.output.page import render_page
from vllm_quality.load.output.summary import summary, without_credentials
from vllm_quality.load.result import LoadResult

TAPE = "tape"
"""The folder beside the reports that holds the run's tape."""
SCENARIO = "scenario.json"
_REPORTS = ("summary.json", "requests.parquet", "report.html")
_CONTENT_TYPES = {".json": "application/json", ".html": "text/html; charset=utf-8"}


def prepare_folder(folder: Path) -> None:
    """Make the folder, and take out what an earlier run left there. Raises `LoadError` when it cannot be written to.

    Called before the clock starts: a run whose report cannot be written is not begun.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name in _REPORTS or path.name.endswith("_lifecycle_metrics.json"):
                path.unlink()
        probe = folder / f".{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LoadError(
            f"{folder} cannot hold the results ({error.strerror}); give another folder with --output."
        ) from None


def save_run(
    result: LoadResult, folder: Path, extra: Collection[str] = ("lifecycle",), *, tape: Path | None = None
) -> list[Path]:
    """Write summary.json, requests.parquet and report.html; the paths. Each appears whole or not at all.

    extra   "lifecycle" for inference-perf's files
    tape    the folder of the run's tape, where it is kept; the report says how to replay it. The scenario is put into it,
            so that it is all that a replay needs

    Raises `LoadError` when the folder cannot be written to.
    """
    replay = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if tape is not None:
            if not (tape / SCENARIO).exists():
                _write(tape / SCENARIO, _json(result.scenario.model_dump(mode="json")))
            address = shlex.quote(without_credentials(result.endpoint.base_url))
            replay = f"vllm-quality load-test --base-url {address} --tape {shlex.quote(str(tape))}"
        files = {"report.html": render_page(result, replay=replay).encode(), "summary.json": _json(summary(result))}
        if "lifecycle" in extra:
            files |= {name: _json(content) for name, content in lifecycle_reports(result).items()}
        for name, content in files.items():
            _write(folder / name, content)
        _write_requests(result, folder / "requests.parquet")
    except OSError as error:
        raise LoadError(f"The results cannot be written to {folder} ({error.strerror}); free room there.") from None
    paths = [*(folder / name for name in files), folder / "requests.parquet"]
    return paths if tape is None else [*paths, tape]


def _json(content: object) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_requests(result: LoadResult, path: Path) -> None:
    """Every request with all its columns; those of a capacity search, which has no stages, with the stored table's."""
    frames = [stage.frame for stage in result.stages]
    rows = pl.concat(frames) if sum(frame.height for frame in frames) == result.requests.height > 0 else result.requests
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        rows.write_parquet(unfinished, compression="zstd")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def upload(folder: Path, destination: str, s3_endpoint: str | None = None) -> str:
    """Copy the reports of a folder (not its tape) to s3://bucket/prefix or file:///folder; where they went.

    They go to the destination itself; where an earlier run's reports are there already, into a folder of this run's name
    below it, so that nothing is overwritten. Raises `LoadError`, one sentence; the files stay on the disk.
    """
    from vllm_quality.results.objects import FileObjects, ObjectsError, ObjectStore

    scheme = urlsplit(destination).scheme
    try:
        store: ObjectStore
        if scheme == "s3":
            from vllm_quality.results.s3_objects import open_s3

            store = open_s3(destination, s3_endpoint)
        elif scheme == "file":
            store = FileObjects(Path(urlsplit(destination).path))
        else:
            raise LoadError(f"{destination!r} is no place to upload to; give s3://bucket/prefix or file:///folder.")
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        below = f"{folder.resolve().name}/" if any(store.exists(path.name) for path in paths) else ""
        for path in paths:
            kind = _CONTENT_TYPES.get(path.suffix, "application/octet-stream")
            if not store.put(below + path.name, path.read_bytes(), kind):
                raise LoadError(
                    f"{destination} holds reports of a run {below or ''} already; upload to another prefix."
                )
    except ObjectsError as error:
        raise LoadError(f"The reports were not uploaded and are in {folder}. {error}") from None
    return f"{destination.rstrip('/')}/{below}"


def default_folder() -> Path:
    """A folder of its own for a run that begins now: ./load-test-<time in UTC>."""
    return Path(f"load-test-{datetime.now(UTC):%Y%m%d-%H%M%S}")

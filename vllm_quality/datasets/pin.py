"""Which data snapshot a run asks: pinned by its first step, so that a set that changes half-way changes nothing."""

from vllm_quality.datasets.freeze import Snapshot
from vllm_quality.datasets.manifest import Manifest
from vllm_quality.datasets.snapshot import SnapshotError, read_manifest
from vllm_quality.results.run_folder import RunFolder

_FILE = "snapshot.json"


def pin_snapshot(folder: RunFolder, snapshot: Snapshot) -> str:
    """Pin a snapshot to a run unless one is pinned already; the hash of the pinned one.

    What this run's building of it said is kept with the run: the snapshot itself may be older.
    """
    folder.put_json(_building(snapshot.hash), snapshot.manifest.model_dump(mode="json"))
    return str(folder.keep_json(_FILE, {"hash": snapshot.hash})["hash"])


def pinned_snapshot(folder: RunFolder) -> str | None:
    """The hash of the snapshot that a run asks; None when it has none yet."""
    stored = folder.get_json(_FILE)
    return None if stored is None else str(stored["hash"])


def require_snapshot(folder: RunFolder) -> str:
    """The hash of the snapshot that a run asks. Raises `SnapshotError` when it has none."""
    pinned = pinned_snapshot(folder)
    if pinned is None:
        raise SnapshotError(
            f"Run {folder.run_id} has no data snapshot; materialize evaluation_snapshot in the same run."
        )
    return pinned


def pinned_manifest(folder: RunFolder) -> Manifest:
    """What is known of the snapshot that a run asks, as the run's own building of it said. Raises `SnapshotError`."""
    pinned = require_snapshot(folder)
    stored = folder.get_json(_building(pinned))
    return read_manifest(folder.objects, pinned) if stored is None else Manifest.model_validate(stored)


def _building(snapshot_hash: str) -> str:
    return f"snapshot/{snapshot_hash}.json"

"""Which data snapshot a run asks: pinned by its first step, so that a set that changes half-way changes nothing."""

from vllm_quality.datasets.snapshot import SnapshotError
from vllm_quality.results.run_folder import RunFolder

_FILE = "snapshot.json"


def pin_snapshot(folder: RunFolder, snapshot_hash: str) -> str:
    """Pin a snapshot to a run unless one is pinned already; the hash of the pinned one."""
    return str(folder.keep_json(_FILE, {"hash": snapshot_hash})["hash"])


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

"""Manifests of version 1, as this project's first releases wrote them: nothing that is stored is lost."""

from typing import Any

from vllm_quality.datasets.manifest import Counts, Manifest, Quarantined, SetManifest, StoredFile


def from_version_1(stored: dict[str, Any], items_key: str) -> Manifest:
    """The manifest that a stored one of version 1 stands for. Raises `KeyError`, `TypeError` or `ValueError` when it is none."""
    near = stored["near_duplicates"]
    return Manifest(
        manifest_version=1,
        hash=stored["hash"],
        items=stored["items"],
        sets={name: _set(entry) for name, entry in stored["sets"].items()},
        files={"items": StoredFile(key=items_key, sha256="", rows=stored["items"])},
        certificate=None,
        alarms=(near["incomplete"],) if near["incomplete"] else (),
        pairs={"near": near["pair_count"]},
        deduplication={"method": near["method"]},
        anonymisation={},
        versions={},
        built_at=None,
        built_by=None,
    )


def _set(entry: dict[str, Any]) -> SetManifest:
    counts = Counts(
        rows=entry["rows"],
        bad_rows=entry["bad_rows"],
        not_sampled=0,
        repeated=entry["own_duplicates"],
        exact=sum(entry["duplicates_of"].values()),
        near=0,
        items=entry["items"],
        flagged=0,
        held_back=0,
    )
    return SetManifest(
        **{name: entry[name] for name in ("version", "key", "format", "language", "role", "licence", "priority")},
        where="",
        pii="keep",
        as_of=None,
        sample=None,
        counts=counts,
        entities={},
        quarantined=tuple(Quarantined(**row) for row in entry["quarantined"]),
    )

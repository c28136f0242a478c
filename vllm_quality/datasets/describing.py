"""A finished build as its manifest."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from vllm_quality.datasets.dedup.run import Deduplication
from vllm_quality.datasets.intake import Intake
from vllm_quality.datasets.layout import LaidOut
from vllm_quality.datasets.manifest import (
    MANIFEST_VERSION,
    Counts,
    Manifest,
    Quarantined,
    RemovedPair,
    SetManifest,
    StoredFile,
)
from vllm_quality.datasets.registry import RegisteredSet, place_of

_PACKAGES = ("vllm-quality", "polars", "rapidfuzz", "numpy", "presidio-analyzer")


@dataclass(frozen=True, eq=False)
class Built:
    """What came of a build's steps.

    hash      of the items that stay
    alarms    sentences, for a person
    intakes   by set: what was read
    examples  some of the removals
    """

    hash: str
    sets: Sequence[RegisteredSet]
    intakes: Mapping[str, Intake]
    laid_out: LaidOut
    outcome: Deduplication
    alarms: tuple[str, ...]
    examples: tuple[RemovedPair, ...]


def describe(
    built: Built,
    files: Mapping[str, StoredFile],
    parameters: Mapping[str, object],
    *,
    built_at: datetime,
    built_by: str,
) -> Manifest:
    """The manifest of a build whose files are stored."""
    outcome, intakes = built.outcome, built.intakes
    sets = {source.name: _set(source, built) for source in built.sets}
    kept = {"policy": "kept as they are"}
    return Manifest(
        manifest_version=MANIFEST_VERSION,
        hash=built.hash,
        items=sum(entry.counts.items for entry in sets.values()),
        sets=sets,
        files=dict(files),
        certificate=outcome.certificate,
        alarms=built.alarms,
        pairs=_pair_counts(built),
        examples=built.examples,
        deduplication={**parameters, **json.loads(json.dumps(outcome.method, default=str))},
        anonymisation={name: dict(intakes[name].treatment) or kept for name in sets},
        versions={package: version(package) for package in _PACKAGES},
        built_at=built_at,
        built_by=built_by,
    )


def _set(source: RegisteredSet, built: Built) -> SetManifest:
    intake, counts = built.intakes[source.name], built.outcome.sets[source.name]
    about = source.description
    set_hash, stored = built.laid_out.versions[source.name]
    return SetManifest(
        version=set_hash,
        key=stored.key,
        where=source.where if place_of(source) == "objects" else place_of(source),
        format=about.format,
        language=about.language,
        role=about.role,
        licence=about.licence,
        priority=about.priority,
        pii=about.pii_policy,
        as_of=about.as_of,
        sample=about.sample.model_dump() if about.sample else None,
        counts=Counts(
            rows=intake.rows,
            bad_rows=intake.bad_rows,
            not_sampled=intake.not_sampled,
            repeated=built.laid_out.repeated[source.name],
            exact=counts.exact,
            near=counts.near,
            items=counts.kept,
            flagged=counts.flagged,
            held_back=counts.held_back,
        ),
        entities={kind: count for kind, count in sorted(intake.entities.items()) if count},
        quarantined=tuple(Quarantined(file=row.file, line=row.line, why=row.why) for row in intake.listed),
    )


def _pair_counts(built: Built) -> dict[str, int]:
    """Pairs of the ledger by kind and decision, such as "near drop_b"."""
    counts = Counter({"exact drop_b": built.laid_out.repeated.total()})
    for kind, decision, count in built.outcome.ledger.group_by("kind", "decision").len().iter_rows():
        counts[f"{kind} {decision}"] += count
    return dict(sorted((+counts).items()))

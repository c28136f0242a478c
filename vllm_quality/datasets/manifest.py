"""What a snapshot says about itself: where its items come from, and what was left out and why."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from vllm_quality.datasets.exact import Deduplicated
from vllm_quality.datasets.near import BANDS, GRAM, NORMALISATION, ROWS, SEED, SHORT, NearPair, NearReport
from vllm_quality.datasets.reading import SetContents
from vllm_quality.datasets.schema import SCHEMA_VERSION, Role

_MOST_LISTED = 500


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quarantined(_Frozen):
    """A row that was left out; `line` is the position in a JSON array or parquet file."""

    file: str
    line: int
    why: str


class SetManifest(_Frozen):
    """One data set in a snapshot.

    version           SHA-256 of all its usable items
    items             in the snapshot, after deduplication
    duplicates        exact ones removed: of itself, and of another set (that set's name -> how many)
    quarantined       the first thousand of the `bad_rows`
    """

    version: str
    key: str
    format: str
    language: str
    role: Role
    licence: str
    priority: int
    rows: int
    bad_rows: int
    items: int
    own_duplicates: int
    duplicates_of: dict[str, int]
    quarantined: tuple[Quarantined, ...]


class Near(_Frozen):
    """Near duplicates, reported and not removed: all are counted, the first 500 listed.

    pairs     [id a, id b, set a, set b, distance, length of the longer text]
    clusters  [the item that stands for the others, the others…]
    """

    method: str
    compared: int
    pair_count: int
    cluster_count: int
    pairs: tuple[tuple[str, str, str, str, int, int], ...]
    clusters: tuple[tuple[str, ...], ...]
    incomplete: str | None


class Manifest(_Frozen):
    """A snapshot's manifest.json."""

    schema_version: int
    hash: str
    items: int
    sets: dict[str, SetManifest]
    near_duplicates: Near

    @property
    def item_counts(self) -> Mapping[str, int]:
        """Data set -> items in the snapshot."""
        return {name: entry.items for name, entry in self.sets.items()}

    @property
    def exact_duplicates(self) -> int:
        """Items removed because they are in the snapshot already."""
        return sum(entry.own_duplicates + sum(entry.duplicates_of.values()) for entry in self.sets.values())

    @property
    def bad_rows(self) -> int:
        """Rows left out because they cannot be read."""
        return sum(entry.bad_rows for entry in self.sets.values())


def describe_set(contents: SetContents, deduplicated: Deduplicated, version: str, key: str) -> SetManifest:
    """The manifest's entry of a data set."""
    name, about = contents.source.name, contents.source.description
    return SetManifest(
        version=version,
        key=key,
        format=about.format,
        language=about.language,
        role=about.role,
        licence=about.licence,
        priority=about.priority,
        rows=contents.rows,
        bad_rows=contents.bad_rows,
        items=len(contents.items) - deduplicated.removed_from(name),
        own_duplicates=deduplicated.within.get(name, 0),
        duplicates_of={kept: count for (removed, kept), count in deduplicated.across.items() if removed == name},
        quarantined=tuple(Quarantined(file=row.file, line=row.line, why=row.why) for row in contents.quarantined),
    )


def describe(snapshot_hash: str, sets: Mapping[str, SetManifest], near: NearReport) -> Manifest:
    """A snapshot's manifest."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        hash=snapshot_hash,
        items=sum(entry.items for entry in sets.values()),
        sets=dict(sets),
        near_duplicates=Near(
            method=f"Levenshtein / longer length < 0.2 on {NORMALISATION}; up to {SHORT} characters exact, above "
            f"MinHash LSH of {GRAM}-grams, {BANDS} bands of {ROWS}, seed {SEED}",
            compared=near.compared,
            pair_count=len(near.pairs),
            cluster_count=len(near.clusters),
            pairs=tuple(_listed(pair) for pair in near.pairs[:_MOST_LISTED]),
            clusters=near.clusters[:_MOST_LISTED],
            incomplete=near.incomplete,
        ),
    )


def _listed(pair: NearPair) -> tuple[str, str, str, str, int, int]:
    return pair.id_a, pair.id_b, pair.dataset_a, pair.dataset_b, pair.distance, pair.length

"""Freezing the registered sets into a snapshot: read → anonymise → spool on disk → duplicates → items, all by streaming.

Memory holds hashes, lengths and signatures, not texts. What was read before is on disk below `work`, anonymised.
"""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir

import polars as pl
from pydantic import SecretStr

from vllm_quality.datasets.dedup.collapse import alarms_of
from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA
from vllm_quality.datasets.dedup.near.texts import TextFile
from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.dedup.run import Deduplication, deduplicate
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold
from vllm_quality.datasets.describing import Built, describe
from vllm_quality.datasets.examples import removed_pairs
from vllm_quality.datasets.intake import Intake, take_in
from vllm_quality.datasets.layout import LaidOut, lay_out, write_items
from vllm_quality.datasets.manifest import Manifest, StoredFile
from vllm_quality.datasets.policies import policy_of
from vllm_quality.datasets.progress import Progress
from vllm_quality.datasets.registry import RegisteredSet
from vllm_quality.datasets.row_file import RowFile
from vllm_quality.datasets.rows import QUARANTINE_SCHEMA
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.datasets.snapshot import manifest_key, read_manifest
from vllm_quality.datasets.spool import ItemSpool, spool_folder
from vllm_quality.datasets.storing import store_file
from vllm_quality.results.objects import ObjectStore


@dataclass(frozen=True)
class Freezing:
    """How a snapshot is made; what is left at its default belongs to no particular machine.

    work      where the spool lies meanwhile; what a killed build left there is removed
    by        who builds it: a person, or a run
    """

    work: Path = field(default_factory=lambda: Path(gettempdir()) / f"vllm_quality-{getpass.getuser()}")
    pii_key: SecretStr | None = None
    threshold: Threshold = USUAL
    seed: int = 1
    by: str = field(default_factory=getpass.getuser)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    progress: Progress | None = None


@dataclass(frozen=True)
class Snapshot:
    """A stored snapshot.

    manifest  of this building, which is the stored one unless the same items were frozen before
    is_new    whether this building stored it
    """

    hash: str
    manifest: Manifest
    is_new: bool = field(default=True, compare=False)


def build_snapshot(sets: Sequence[RegisteredSet], objects: ObjectStore, freezing: Freezing | None = None) -> Snapshot:
    """Read the sets, remove duplicates, store what is left. The same rows give the same hash in any order and layout.

    Raises `DatasetError` when there is no set, one of them has nothing to use, or their policies contradict each other.
    """
    if not sets:
        raise DatasetError("No data set is registered; add a folder with a dataset.yaml to VLLM_QUALITY_DATASETS_DIR.")
    how = Freezing() if freezing is None else freezing
    with spool_folder(how.work) as folder:
        return _Build(sorted(sets, key=lambda source: source.name), objects, how, folder).run()


@dataclass(frozen=True)
class _Build:
    sets: Sequence[RegisteredSet]
    objects: ObjectStore
    how: Freezing
    folder: Path

    def run(self) -> Snapshot:
        about = {source.name: source.description for source in self.sets}
        policy, how = policy_of(about), self.how
        with ItemSpool(self.folder / "items") as spool, TextFile(self.folder / "texts") as texts:
            with RowFile(self.folder / "quarantine.parquet", QUARANTINE_SCHEMA) as quarantine:
                intakes = {source.name: self._take_in(source, spool, quarantine) for source in self.sets}
            laid_out = lay_out(spool, texts, self.folder, self.objects, how.progress)
            outcome = deduplicate(laid_out.corpus, policy, how.threshold, seed=how.seed, progress=how.progress)
            kept = spool.by_id(laid_out.positions[outcome.kept])
            found = write_items(spool, kept, self.folder / "items.parquet", how.progress)
            examples = removed_pairs(outcome.ledger, spool, about)
        built = Built(found, self.sets, intakes, laid_out, outcome, _alarms(laid_out, outcome, policy), examples)
        if self.objects.exists(manifest_key(found)):
            return Snapshot(found, self._describe(built, read_manifest(self.objects, found).files), is_new=False)
        rows = {"items": len(kept), "pairs": self._write_pairs(laid_out, outcome), "quarantine": quarantine.rows}
        files = {
            name: store_file(self.objects, f"snapshots/{found}/{name}.parquet", self.folder / f"{name}.parquet", count)
            for name, count in rows.items()
        }
        manifest = self._describe(built, files)
        text = manifest.model_dump_json(indent=1)
        is_new = self.objects.put(manifest_key(found), text.encode(), "application/json")
        return Snapshot(found, manifest, is_new)

    def _take_in(self, source: RegisteredSet, spool: ItemSpool, quarantine: RowFile) -> Intake:
        how = self.how
        return take_in(source, spool, quarantine, pii_key=how.pii_key, work=self.folder, progress=how.progress)

    def _write_pairs(self, laid_out: LaidOut, outcome: Deduplication) -> int:
        """Write the whole ledger; how many pairs it has."""
        pairs = pl.concat([pl.scan_parquet(laid_out.repeated_file), outcome.ledger.lazy().select(*PAIR_SCHEMA)])
        pairs.sink_parquet(self.folder / "pairs.parquet", compression="zstd", statistics=False)
        return laid_out.repeated.total() + outcome.ledger.height

    def _describe(self, built: Built, files: Mapping[str, StoredFile]) -> Manifest:
        how = self.how
        parameters = {"threshold": str(how.threshold), "seed": how.seed}
        return describe(built, files, parameters, built_at=how.at, built_by=how.by)


def _alarms(laid_out: LaidOut, outcome: Deduplication, policy: Policy) -> tuple[str, ...]:
    """Those of sets that lose too many of their rows, repeated ones included; and what the search could not do."""
    lost = {
        name: replace(counts, rows=counts.rows + repeated, exact=counts.exact + repeated)
        for name, counts in outcome.sets.items()
        for repeated in (laid_out.repeated[name],)
    }
    incomplete = outcome.method.get("incomplete")
    return (*alarms_of(lost, policy), *([str(incomplete)] if incomplete else []))

"""What of a day's queries is (nearly) the same as another one of the day, or as one of an earlier day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.datasets.dedup.against import deduplicate_against
from vllm_quality.datasets.dedup.certificate import Certificate
from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA
from vllm_quality.datasets.dedup.normal import NORMALISATION, comparison_text, raw_text
from vllm_quality.datasets.dedup.run import Corpus, Policy
from vllm_quality.datasets.schema import Item
from vllm_quality.datasets.traffic.earlier import earlier_bank, earlier_items
from vllm_quality.datasets.traffic.frozen import FrozenDay
from vllm_quality.results.objects import ObjectStore

TODAY, EARLIER = "service_queries", "earlier days"
_MUCH = 0.5  # of a day's sample; traffic repeats itself, so that a twentieth is no reason for an alarm
# Of an earlier day, which is frozen, nothing is dropped.
_POLICY = Policy(roles={TODAY: "traffic", EARLIER: "traffic"}, most_removed=_MUCH)


@dataclass(frozen=True)
class Unique:
    """What is left of a day.

    items              those that are left
    asked              the day's queries, each once: those that are left, and one for each of an earlier day that came again
    duplicates, known  removed for another query of the day; for one of an earlier day
    pairs              the ledger, a frame of `PAIR_SCHEMA`; an earlier day's ids are "<day>/<hash>/<id>"
    method             versions and parameters
    alarms             sentences, for a person
    certificate        of the pairs within the day and with all that the earlier days hold; None for a day without queries
    """

    items: tuple[Item, ...]
    asked: tuple[Item, ...]
    duplicates: int
    known: int
    pairs: pl.DataFrame
    method: Mapping[str, Any]
    alarms: tuple[str, ...] = ()
    certificate: Certificate | None = None


def without_duplicates(
    objects: ObjectStore,
    items: Sequence[Item],
    earlier: Sequence[FrozenDay],
    bank_folder: Path,
    seed: int,
    index: str | None = None,
) -> Unique:
    """The items that neither the day nor an earlier one holds already. Independent of the items' order. See `earlier_bank`."""
    if not items:
        return Unique((), (), 0, 0, pl.DataFrame(schema=dict(PAIR_SCHEMA)), {"normalisation": NORMALISATION})
    with earlier_bank(objects, earlier, bank_folder, seed, index) as bank:

        def banked(positions: Sequence[int]) -> Corpus:
            ids = [bank.ids[at] for at in positions]
            return _corpus(EARLIER, ids, earlier_items(objects, earlier, ids))

        corpus = _corpus(TODAY, [item.id for item in items], items)
        found = deduplicate_against(corpus, bank, banked, _POLICY, seed=seed)
    kept = tuple(item for item, stays in zip(items, found.kept.tolist(), strict=True) if stays)
    earlier_of = _removed_for_earlier(found.ledger)
    known = [item for item in items if item.id in earlier_of]
    again = {earlier_of[item.id]: item for item in sorted(known, key=lambda item: item.id)}
    return Unique(
        items=kept,
        asked=(*kept, *again.values()),
        duplicates=len(items) - len(kept) - len(known),
        known=len(known),
        pairs=found.ledger,
        method=found.method,
        alarms=found.alarms,
        certificate=found.certificate,
    )


def _corpus(name: str, ids: Sequence[str], items: Sequence[Item]) -> Corpus:
    return Corpus(
        ids=ids,
        datasets=[name] * len(items),
        raw=[raw_text(item) for item in items],
        texts=[comparison_text(item) for item in items],
        content=[item.content_hash for item in items],
    )


def _removed_for_earlier(pairs: pl.DataFrame) -> dict[str, str]:
    """The day's rows that were dropped for a row of an earlier day: id -> the earlier one's."""
    across = pairs.filter(pl.col("dataset_a") != pl.col("dataset_b"))
    found: dict[str, str] = {}
    for ours, theirs in (("a", "b"), ("b", "a")):
        dropped = across.filter((pl.col(f"dataset_{ours}") == TODAY) & (pl.col("decision") == f"drop_{ours}"))
        for name, earlier in dropped.select(f"id_{ours}", f"id_{theirs}").iter_rows():
            found[name] = min(earlier, found.get(name, earlier))
    return found

"""A look at what was removed: some pairs with their distance and the beginnings of both texts."""

from collections.abc import Mapping

import polars as pl

from vllm_quality.datasets.dedup.normal import raw_text
from vllm_quality.datasets.description import Description
from vllm_quality.datasets.manifest import RemovedPair
from vllm_quality.datasets.spool import ItemSpool

MOST_EXAMPLES, _LONGEST_TEXT = 20, 80
_NOT_SHOWN = "(its personal data are kept as they are, so it is not shown)"


def removed_pairs(ledger: pl.DataFrame, spool: ItemSpool, sets: Mapping[str, Description]) -> tuple[RemovedPair, ...]:
    """Some of the ledger's removals, spread evenly over the distances, the farthest first."""
    drops = ledger.filter(pl.col("decision").str.starts_with("drop_"))
    drops = drops.sort("distance", "id_a", "id_b", descending=[True, False, False])
    chosen = drops[[at * drops.height // MOST_EXAMPLES for at in range(MOST_EXAMPLES)]] if drops.height else drops
    chosen = chosen.unique(maintain_order=True)
    texts = _texts(spool, {*chosen["id_a"], *chosen["id_b"]}, sets)
    return tuple(_removed(row, texts) for row in chosen.iter_rows(named=True))


def short(text: str) -> str:
    """A text's beginning, on one line."""
    line = " ".join(text[: 4 * _LONGEST_TEXT].split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[: _LONGEST_TEXT - 1]}…"


def may_be_shown(about: Description) -> bool:
    """Whether a set's texts may be shown to people: where they are anonymised, or published anyway."""
    return about.pii_policy != "keep" or about.role == "benchmark"


def _removed(row: Mapping[str, object], texts: Mapping[str, str]) -> RemovedPair:
    gone, stays = ("a", "b") if row["decision"] == "drop_a" else ("b", "a")
    return RemovedPair.model_validate(
        {
            "removed": row[f"id_{gone}"],
            "removed_from": row[f"dataset_{gone}"],
            "kept": row[f"id_{stays}"],
            "kept_in": row[f"dataset_{stays}"],
            "kind": row["kind"],
            "distance": row["distance"],
            "removed_text": texts[str(row[f"id_{gone}"])],
            "kept_text": texts[str(row[f"id_{stays}"])],
        }
    )


def _texts(spool: ItemSpool, ids: set[str], sets: Mapping[str, Description]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at in range(len(spool)) if ids else ():
        if len(found) == len(ids):
            break
        if (one := spool.id(at)) in ids and one not in found:
            shown = may_be_shown(sets[spool.dataset(at)])
            found[one] = short(raw_text(spool.item(at))) if shown else _NOT_SHOWN
    return found

"""The pair ledger: every pair that was found, what was decided about it, and why. A removal can be explained, and undone."""

from collections.abc import Mapping

import polars as pl

from vllm_quality.datasets.schema import DatasetError

# id_a, dataset_a, id_b, dataset_b  the two rows; a is the one that comes first by (data set, id)
# kind       "exact": equal normal forms; "near": below the threshold
# distance   edits / length
# edits      Levenshtein distance of the normal forms; 0 for exact ones
# length     of the longer normal form, code points
# decision   "drop_a" | "drop_b": that row was removed, and the other one stays
#            "flag": both stay, as the policy of their sets has it; a person should look
#            "keep": nothing was removed on account of this pair: the guard or differing references held it back, or one of
#                    the two was removed for a third row
# reason     one sentence
# versions   of the normalisation, the guard and the search
PAIR_SCHEMA: Mapping[str, pl.DataType] = {
    "id_a": pl.String(),
    "id_b": pl.String(),
    "dataset_a": pl.String(),
    "dataset_b": pl.String(),
    "kind": pl.String(),
    "distance": pl.Float64(),
    "edits": pl.Int64(),
    "length": pl.Int64(),
    "decision": pl.String(),
    "reason": pl.String(),
    "versions": pl.String(),
}


def undo(kept: pl.DataFrame, removed: pl.DataFrame) -> pl.DataFrame:
    """The rows as they were before deduplication: `position` (from 0) is where each stood.

    Raises `DatasetError` when a row is missing or there twice.
    """
    rows = pl.concat([kept.select(sorted(kept.columns)), removed.select(sorted(kept.columns))]).sort("position")
    if rows["position"].to_list() != list(range(rows.height)):
        raise DatasetError(
            "These kept and removed rows do not belong together: a position is missing or there twice; take both from one run."
        )
    return rows.select(kept.columns)


def contamination(ledger: pl.DataFrame, roles: Mapping[str, str]) -> pl.DataFrame:
    """The pairs of a golden and a benchmark's item that are (nearly) the same, nearest first.

    roles  by set; of the ledger, flagged pairs are taken: a difference in meaning is no contamination
    """
    role = {
        side: pl.col(f"dataset_{side}").replace_strict(roles, default=None, return_dtype=pl.String) for side in "ab"
    }
    sides = []
    for golden, benchmark in (("a", "b"), ("b", "a")):
        found = ledger.filter(
            (pl.col("decision") == "flag") & (role[golden] == "golden") & (role[benchmark] == "benchmark")
        )
        named = {"golden_set": f"dataset_{golden}", "golden_id": f"id_{golden}"}
        named |= {"benchmark_set": f"dataset_{benchmark}", "benchmark_id": f"id_{benchmark}"}
        sides.append(found.select(*(pl.col(old).alias(new) for new, old in named.items()), "distance"))
    return pl.concat(sides).sort("distance", "golden_set", "golden_id", "benchmark_set", "benchmark_id")

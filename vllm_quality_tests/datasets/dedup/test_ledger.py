"""The ledger explains every removal, and is bounded."""

import polars as pl
import pytest

from vllm_quality.datasets.dedup.edges import MOST_OF_A_TEXT
from vllm_quality.datasets.dedup.ledger import undo
from vllm_quality.datasets.dedup.near.search import find_near_pairs
from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.dedup.run import deduplicate
from vllm_quality.datasets.schema import DatasetError
from vllm_quality_tests.datasets.dedup.rows import corpus_of, families, one_set


def split(texts: list[str]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows as they were, kept ones, removed ones."""
    rows = pl.DataFrame({"position": range(len(texts)), "text": texts})
    kept = pl.Series(deduplicate(one_set(texts)).kept)
    return rows, rows.filter(kept), rows.filter(~kept)


def test_kept_and_removed_rows_are_the_input_again() -> None:
    rows, kept, removed = split(families(120, 4))
    assert removed.height > 20
    assert undo(kept, removed.reverse()).equals(rows)


def test_rows_of_two_runs_do_not_make_an_input() -> None:
    _, kept, removed = split(families(60, 4))
    with pytest.raises(DatasetError, match="do not belong together"):
        undo(kept, removed[1:])
    with pytest.raises(DatasetError, match="do not belong together"):
        undo(kept, pl.concat([removed, removed[:1]]))


@pytest.mark.parametrize("most", [0, 400, 100_000])
def test_a_bounded_list_has_every_removal_and_the_nearest_pair_of_every_other_row(most: int) -> None:
    texts = [f"What is {one} plus {other}?" for one in range(10, 25) for other in range(10, 25)]
    texts += [text.lower() for text in texts[:20]] + families(60, 2)
    corpus = corpus_of([("ab"[at % 2], f"{at:03}", text) for at, text in enumerate(texts)])
    policy = Policy(pairs={("a", "b"): "flag"})
    whole = deduplicate(corpus, policy)
    bounded = deduplicate(corpus, policy, most_pairs=most)
    assert bounded.method["pairs_found"] == whole.ledger.height
    assert bounded.method["pairs_listed"] == bounded.ledger.height <= max(most, 4 * len(texts))
    removals = pl.col("decision").str.starts_with("drop")
    assert bounded.ledger.filter(removals).equals(whole.ledger.filter(removals))
    assert bounded.ledger.join(whole.ledger, on=whole.ledger.columns, how="anti").is_empty()
    kept_with_pairs = flagged_ids(whole.ledger)
    assert kept_with_pairs
    assert flagged_ids(bounded.ledger) == kept_with_pairs
    assert bounded.sets == whole.sets


def flagged_ids(ledger: pl.DataFrame) -> set[str]:
    told = ledger.filter(pl.col("decision") == "flag")
    return {*told["id_a"], *told["id_b"]}


def test_of_very_many_rows_with_one_text_none_escapes() -> None:
    count = 3 * MOST_OF_A_TEXT
    rows = [("ab"[at % 2], f"{at:03}", "What do you say?" if at % 3 else "WHAT do you say?") for at in range(count)]
    references = [str(at // 4) for at in range(count)]
    outcome = deduplicate(corpus_of(rows, references=references))
    assert outcome.kept.sum() == len(set(references))


def test_versions_tell_how_the_pairs_were_found() -> None:
    ledger = deduplicate(one_set(["one two three four five", "one two three four six"])).ledger
    assert "NFKC" in ledger["versions"][0]
    assert "guard" in ledger["versions"][0]
    assert ledger["distance"][0] == pytest.approx(3 / 23)


def test_nothing_near_is_an_empty_ledger() -> None:
    assert not len(find_near_pairs(["one", "two"]))
    assert deduplicate(one_set(["one", "two"])).ledger.is_empty()

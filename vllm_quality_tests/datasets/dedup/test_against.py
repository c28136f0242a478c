"""A day's rows against a bank of earlier ones: the same decisions as about all of them at once."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from vllm_quality.datasets.dedup.against import deduplicate_against
from vllm_quality.datasets.dedup.near.bank import Bank, build_bank, load_bank
from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.dedup.run import Corpus, deduplicate
from vllm_quality.datasets.schema import DatasetError
from vllm_quality_tests.datasets.dedup.rows import Row, corpus_of, families

TEXTS = [*families(160, 12, (3, 9)), *families(160, 13, (20, 50))]
OLD: list[Row] = [("earlier", f"old {at:03}", text) for at, text in enumerate(TEXTS) if at % 3]
NEW: list[Row] = [("day", f"{at:03}", text) for at, text in enumerate(TEXTS) if at % 3 == 0]
ROLES = {"day": "traffic", "earlier": "traffic"}


def banked(positions: Sequence[int]) -> Corpus:
    return corpus_of([OLD[at] for at in positions])


@pytest.fixture(scope="module")
def bank() -> Bank:
    old = corpus_of(OLD)
    return build_bank(old.ids, old.texts)


def test_decisions_are_those_of_all_rows_at_once(bank: Bank) -> None:
    policy = Policy(roles=ROLES)  # type: ignore[arg-type]
    found = deduplicate_against(corpus_of(NEW), bank, banked, policy)
    together = Policy(roles=ROLES, pairs={("day", "earlier"): "drop-from:day"}, within={"earlier": "flag"})  # type: ignore[arg-type]
    whole = deduplicate(corpus_of([*NEW, *OLD]), together)
    assert found.kept.tolist() == whole.kept[: len(NEW)].tolist()
    assert 20 < found.kept.sum() < len(NEW) - 20
    ours = (pl.col("dataset_a") == "day") | (pl.col("dataset_b") == "day")
    decided = ["id_a", "id_b", "kind", "edits", "decision"]
    assert found.ledger.select(decided).equals(whole.ledger.filter(ours).select(decided))
    assert dict(found.sets) == {"day": whole.sets["day"]}


def test_the_certificate_is_about_the_days_pairs_with_all_of_the_bank(bank: Bank) -> None:
    found = deduplicate_against(corpus_of(NEW), bank, banked)
    assert found.certificate.sampled == found.certificate.texts
    assert found.certificate.true_pairs > 40
    assert found.certificate.verdict == "pass"


def test_a_policy_may_drop_from_the_bank(bank: Bank) -> None:
    policy = Policy(pairs={("earlier", "day"): "drop-from:earlier"}, within={"day": "flag"})
    assert deduplicate_against(corpus_of(NEW), bank, banked, policy).kept.all()


def test_a_saved_bank_decides_the_same(bank: Bank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank")
    again = deduplicate_against(corpus_of(NEW), load_bank(tmp_path / "bank"), banked)
    assert again.ledger.equals(deduplicate_against(corpus_of(NEW), bank, banked).ledger)


def test_a_set_cannot_be_on_both_sides(bank: Bank) -> None:
    with pytest.raises(DatasetError, match="name one of them otherwise"):
        deduplicate_against(corpus_of([("earlier", name, text) for _, name, text in NEW]), bank, banked)

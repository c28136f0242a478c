"""A bank answers as a search over everything would, from files, and refuses what it was not made for."""

import json
import random
import shutil
from pathlib import Path

import pytest

from vllm_quality.datasets.dedup.near.bank import Bank, BankError, BankPairs, build_bank, load_bank
from vllm_quality.datasets.dedup.near.search import find_near_pairs
from vllm_quality.datasets.dedup.near.texts import TextFile
from vllm_quality.datasets.dedup.threshold import Threshold
from vllm_quality_tests.benchmarks.corpus import make_corpus, short_texts

KNOWN, ASKED = 900, 300


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Long and short ones, some of the border's length, some empty."""
    mixed = [
        *make_corpus(800, seed=11).texts,
        *short_texts(390, seed=12).texts,
        *("n" * 60 + "m" * at for at in range(8)),
    ]
    mixed += ["", ""]
    random.Random(4).shuffle(mixed)
    return mixed


@pytest.fixture(scope="module")
def bank(texts: list[str]) -> Bank:
    return build_bank(names(texts[:KNOWN]), texts[:KNOWN], versions={"normal form": "7"})


def names(texts: list[str]) -> list[str]:
    return [f"t{at}" for at in range(len(texts))]


def as_set(found: BankPairs) -> set[tuple[int, int, int, int]]:
    return set(zip(*(part.tolist() for part in (found.query, found.banked, found.edits, found.longer)), strict=True))


def one_shot(texts: list[str], known: int) -> set[tuple[int, int, int, int]]:
    found = find_near_pairs(texts, kind="exact")
    columns = (found.first.tolist(), found.second.tolist(), found.edits.tolist(), found.longer.tolist())
    return {
        (second - known, first, edits, longer)
        for first, second, edits, longer in zip(*columns, strict=True)
        if first < known <= second
    }


def test_it_finds_what_a_search_over_everything_finds(bank: Bank, texts: list[str]) -> None:
    found = bank.query(texts[KNOWN:])
    expected = one_shot(texts, KNOWN)
    assert len(expected) > 20
    assert as_set(found) == expected
    assert len(found) == len(expected)
    assert found.incomplete is None
    assert list(zip(found.query, found.banked, strict=True)) == sorted(zip(found.query, found.banked, strict=True))


def test_it_does_so_from_files(bank: Bank, texts: list[str], tmp_path: Path) -> None:
    bank.save(tmp_path / "bank")
    loaded = load_bank(tmp_path / "bank", versions={"normal form": "7"})
    assert loaded.ids == bank.ids == names(texts[:KNOWN])
    assert as_set(loaded.query(texts[KNOWN:])) == as_set(bank.query(texts[KNOWN:]))


def test_a_days_texts_are_added(bank: Bank, texts: list[str], tmp_path: Path) -> None:
    first, second = texts[:500], texts[500:KNOWN]
    grown = build_bank(names(texts)[:500], first, versions={})
    grown.save(tmp_path)
    before = (tmp_path / "segment-00000" / "found-0.npy").read_bytes()
    loaded = load_bank(tmp_path)
    loaded.append(names(texts)[500:KNOWN], second)
    assert as_set(load_bank(tmp_path).query(texts[KNOWN:])) == as_set(grown.query(texts[KNOWN:]))  # not yet saved
    loaded.save(tmp_path)
    again = load_bank(tmp_path)
    assert again.ids == bank.ids
    assert as_set(again.query(texts[KNOWN:])) == one_shot(texts, KNOWN)
    assert (tmp_path / "segment-00000" / "found-0.npy").read_bytes() == before


def test_a_segment_that_was_not_finished_is_not_seen_and_is_replaced(
    bank: Bank, texts: list[str], tmp_path: Path
) -> None:
    bank.save(tmp_path)
    (tmp_path / "segment-00001").mkdir()
    (tmp_path / "segment-00001" / "texts").write_text("half")
    loaded = load_bank(tmp_path, versions={"normal form": "7"})
    assert len(loaded) == KNOWN
    loaded.append(["new"], [texts[KNOWN]])
    loaded.save(tmp_path)
    assert load_bank(tmp_path, versions={"normal form": "7"}).ids[-1] == "new"


def test_a_bank_of_other_versions_is_refused_by_name(bank: Bank, tmp_path: Path) -> None:
    bank.save(tmp_path)
    with pytest.raises(BankError, match="was made with normal form '7', and this is '8'; build it again"):
        load_bank(tmp_path, versions={"normal form": "8"})
    with pytest.raises(BankError, match="was made with normal form '7', and this is 'none'"):
        load_bank(tmp_path)
    index = json.loads((tmp_path / "bank.json").read_text())
    index["versions"]["signature scheme"] = "legacy"
    (tmp_path / "bank.json").write_text(json.dumps(index))
    with pytest.raises(BankError, match="signature scheme 'legacy', and this is 'affine32'"):
        load_bank(tmp_path, versions={"normal form": "7"})


def test_what_is_no_bank_is_refused(bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(BankError, match="There is no bank in"):
        load_bank(tmp_path)
    (tmp_path / "bank.json").write_text("{")
    with pytest.raises(BankError, match="is no bank's index"):
        load_bank(tmp_path)
    with pytest.raises(BankError, match="There is another bank in"):
        bank.save(tmp_path)
    (tmp_path / "bank.json").unlink()
    bank.save(tmp_path)
    shutil.rmtree(tmp_path / "segment-00000")
    with pytest.raises(BankError, match="lacks"):
        load_bank(tmp_path, versions={"normal form": "7"})


def test_an_id_is_given_once(bank: Bank) -> None:
    with pytest.raises(BankError, match="The id 't3' is in the bank already"):
        bank.append(["new", "t3"], ["one", "other"])
    with pytest.raises(BankError, match="The id 'x' is in the bank already"):
        build_bank(["x", "x"], ["one", "other"])
    with pytest.raises(BankError, match="1 ids for 2 texts"):
        build_bank(["x"], ["one", "other"])


def test_another_threshold_needs_other_signatures(bank: Bank, texts: list[str]) -> None:
    with pytest.raises(BankError, match=r"not built for a threshold of 0\.3"):
        bank.query(["one"], Threshold(3, 10))
    near = as_set(bank.query(texts[KNOWN:], Threshold(1, 10)))
    assert near == {row for row in as_set(bank.query(texts[KNOWN:])) if 10 * row[2] < row[3]}


def test_nothing_is_near_nothing(bank: Bank, tmp_path: Path) -> None:
    assert len(bank.query([])) == len(bank.query(["", ""])) == 0
    empty = build_bank([], [])
    empty.save(tmp_path)
    assert len(load_bank(tmp_path).query(["one", "x" * 300])) == 0
    only_empty = build_bank(["a"], [""])
    assert len(only_empty.query(["", "x"])) == 0


def test_texts_may_lie_on_disk(bank: Bank, texts: list[str], tmp_path: Path) -> None:
    with TextFile(tmp_path / "known") as known:
        known.extend(texts[:KNOWN])
    with TextFile(tmp_path / "asked") as asked:
        asked.extend(texts[KNOWN:])
    from_disk = build_bank(names(texts[:KNOWN]), TextFile(tmp_path / "known"))
    assert as_set(from_disk.query(TextFile(tmp_path / "asked"))) == as_set(bank.query(texts[KNOWN:]))

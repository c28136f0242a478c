"""Items on disk: what was put in comes out, in an order of their own, and nothing is left behind by a process that died."""

import random
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.schema import Item, Message, hash_of_forms, hash_of_items
from vllm_quality.datasets.spool import ItemSpool, spool_folder
from vllm_quality_tests.datasets.sets import question

text = st.text(st.characters(codec="utf-8"), max_size=8)
items = st.builds(
    Item,
    st.sampled_from(["a", "b"]),
    st.just("en"),
    st.just("golden"),
    st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), text), min_size=1, max_size=3).map(tuple),
    st.none() | text,
    st.lists(text, max_size=2).map(tuple),
    st.sampled_from(["{}", '{"k": 1}', '{"k": "\\n"}']),
    st.just("rows.jsonl"),
    st.integers(1, 3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_items=st.lists(items, max_size=12), seed=st.integers(0, 99))
def test_items_come_out_as_they_went_in_and_in_one_order(tmp_path: Path, given_items: list[Item], seed: int) -> None:
    ordered = sorted(given_items, key=lambda item: item.dataset)
    shuffled = sorted(random.Random(seed).sample(given_items, len(given_items)), key=lambda item: item.dataset)
    with ItemSpool(tmp_path / "items") as spool, ItemSpool(tmp_path / "mixed") as mixed:
        for item, other in zip(ordered, shuffled, strict=True):
            spool.append(item)
            mixed.append(other)
        assert [spool.item(at) for at in range(len(spool))] == ordered
        assert [spool.id(at) for at in range(len(spool))] == [item.id for item in ordered]
        assert hash_of_forms(spool.form(at) for at in spool.by_id(spool.order()).tolist()) == hash_of_items(ordered)
        forms = [[one.form(at) for at in one.order().tolist()] for one in (spool, mixed)]
        assert forms[0] == forms[1]
        assert [name for name, _ in spool.by_set(spool.order())] == sorted({item.dataset for item in ordered})


def test_a_dropped_item_is_left_out(tmp_path: Path) -> None:
    with ItemSpool(tmp_path / "items") as spool:
        for line in range(1, 6):
            spool.append(question(f"q{line}", line=line))
        spool.drop(2)
        assert sorted(spool.order().tolist()) == [0, 1, 3, 4]


def test_what_a_dead_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    dead, alive = tmp_path / "spool-dead", tmp_path / "spool-alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "items").write_text("…", encoding="utf-8")
        (folder / "in-use.lock").touch()
    with FileLock(alive / "in-use.lock"), spool_folder(tmp_path) as mine, spool_folder(tmp_path) as other:
        assert {path.name for path in tmp_path.glob("spool-*")} == {"spool-alive", mine.name, other.name}
    assert [path.name for path in tmp_path.glob("spool-*")] == ["spool-alive"]


def test_the_items_of_a_set_must_follow_each_other(tmp_path: Path) -> None:
    with ItemSpool(tmp_path / "items") as spool:
        spool.append(question("q", dataset="a"))
        spool.append(question("q", dataset="b"))
        with pytest.raises(ValueError, match="follow each other"):
            spool.append(question("r", dataset="a"))

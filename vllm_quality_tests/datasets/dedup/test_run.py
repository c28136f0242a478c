"""Who stays, who goes, and why: what holds for every corpus."""

import random
import unicodedata
from itertools import combinations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA
from vllm_quality.datasets.dedup.normal import raw_of
from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.dedup.run import Corpus, Deduplication, deduplicate
from vllm_quality.datasets.dedup.threshold import Threshold
from vllm_quality.datasets.schema import DatasetError
from vllm_quality_tests.datasets.dedup.rows import Row, corpus_of, families, is_near, one_set

TEXT = "the quick brown fox jumps over the lazy dog and runs away to sea"


def kept_rows(corpus: Corpus, outcome: Deduplication) -> set[tuple[str, str]]:
    return {(corpus.datasets[at], corpus.ids[at]) for at in range(len(corpus)) if outcome.kept[at]}


def keepers(ledger: pl.DataFrame) -> dict[tuple[str, str], tuple[str, str]]:
    """Removed row -> the one it was removed for."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for row in ledger.filter(pl.col("decision").str.starts_with("drop")).iter_rows(named=True):
        a, b = (row["dataset_a"], row["id_a"]), (row["dataset_b"], row["id_b"])
        removed, kept = (a, b) if row["decision"] == "drop_a" else (b, a)
        assert removed not in found
        found[removed] = kept
    return found


def check(corpus: Corpus, outcome: Deduplication, policy: Policy, threshold: Threshold) -> None:
    """What holds for every outcome, by brute force."""
    texts = {(corpus.datasets[at], corpus.ids[at]): corpus.texts[at] for at in range(len(corpus))}
    kept, removed_for = kept_rows(corpus, outcome), keepers(outcome.ledger)
    assert kept | set(removed_for) == set(texts)
    assert not kept & set(removed_for)
    for removed, keeper in removed_for.items():
        assert keeper in kept
        assert is_near(texts[removed], texts[keeper], threshold)
        rule = policy.rule(removed[0], keeper[0])
        assert rule == "drop" or rule == f"drop-from:{removed[0]}"
        assert not (rule == "drop" and policy.wins(removed[0], keeper[0]))
    truth = {pair for pair in combinations(sorted(texts), 2) if is_near(texts[pair[0]], texts[pair[1]], threshold)}
    told = {((row[2], row[0]), (row[3], row[1])) for row in outcome.ledger.iter_rows()}
    assert told == truth
    assert len(outcome.ledger) == len(told)
    for pair in truth:
        if set(pair) <= kept:
            status = outcome.ledger.row(by_predicate=_is(pair), named=True)
            assert status["decision"] in ("flag", "keep")
            assert "removed" not in status["reason"] or status["reason"].startswith("Not removed")


def _is(pair: tuple[tuple[str, str], tuple[str, str]]) -> pl.Expr:
    (set_a, id_a), (set_b, id_b) = pair
    return (
        (pl.col("dataset_a") == set_a)
        & (pl.col("id_a") == id_a)
        & (pl.col("dataset_b") == set_b)
        & (pl.col("id_b") == id_b)
    )


WORDS = st.sampled_from(["fox", "foxes", "dog", "a", "B", "not", "2", "3", "서울은", "서울이", "²", "US", "us"])
ROWS = st.lists(
    st.tuples(st.sampled_from(["x", "y", "z"]), st.lists(WORDS, min_size=1, max_size=6).map(" ".join)), max_size=14
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Policies that do not go in a circle."""
    pairs: dict[tuple[str, str], str] = {}
    for one, other in (("x", "y"), ("y", "z"), ("x", "z")):
        rule = draw(st.sampled_from(["", "drop", "flag", f"drop-from:{one}", f"drop-from:{other}"]))
        if rule:
            pairs[one, other] = rule
    policy = Policy(
        priorities=draw(st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2))),
        roles=draw(st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["benchmark", "golden", "traffic"]))),
        pairs=pairs,
        within=draw(st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["drop", "flag"]))),
        guards=draw(st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["off", "usual", "strict"]))),
    )
    try:
        policy.levels("xyz")
    except DatasetError:
        return Policy()
    return policy


@settings(max_examples=60, deadline=None)
@given(ROWS, policies(), st.sampled_from([Threshold(), Threshold(1, 3)]), st.randoms(use_true_random=False))
def test_what_holds_for_every_corpus_and_policy(
    drawn: list[tuple[str, str]], policy: Policy, threshold: Threshold, shuffle: random.Random
) -> None:
    rows: list[Row] = [(dataset, f"{at:02}", text) for at, (dataset, text) in enumerate(drawn)]
    corpus = corpus_of(
        rows, references=[str(len(text) % 3) if at % 2 else None for at, (_, _, text) in enumerate(rows)]
    )
    outcome = deduplicate(corpus, policy, threshold)
    check(corpus, outcome, policy, threshold)
    order = shuffle.sample(range(len(rows)), len(rows))
    references = corpus.references or []
    shuffled = corpus_of([rows[at] for at in order], references=[references[at] for at in order])
    again = deduplicate(shuffled, policy, threshold)
    assert kept_rows(shuffled, again) == kept_rows(corpus, outcome)
    assert again.ledger.equals(outcome.ledger)
    assert (again.sets, again.alarms, again.certificate) == (outcome.sets, outcome.alarms, outcome.certificate)


def test_near_rows_of_larger_texts_go_and_shuffling_changes_nothing() -> None:
    texts = families(300, 5)
    rows: list[Row] = [("ab"[at % 2], f"{at:03}", text) for at, text in enumerate(texts)]
    corpus = corpus_of(rows)
    outcome = deduplicate(corpus)
    assert 50 < outcome.kept.sum() < 250
    check(corpus, outcome, Policy(), Threshold())
    shuffled = corpus_of(random.Random(1).sample(rows, len(rows)))
    again = deduplicate(shuffled)
    assert again.ledger.equals(outcome.ledger)
    assert dict(again.method) == dict(outcome.method)


def test_the_ledger_has_its_schema_even_when_it_is_empty() -> None:
    outcome = deduplicate(one_set([]))
    assert dict(outcome.ledger.schema) == dict(PAIR_SCHEMA)
    assert outcome.ledger.is_empty()
    assert outcome.certificate.verdict == "pass"
    assert deduplicate(one_set(["alone"])).kept.tolist() == [True]


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("abcdefghij", "abcdefghxx", False),
        ("abcdefghijk", "abcdefghxxk", True),
        ("a" * 64, "a" * 79, True),
        ("a" * 64, "a" * 80, False),
    ],
)
def test_exactly_0_2_is_not_near(one: str, other: str, near: bool) -> None:
    outcome = deduplicate(one_set([one, other]))
    assert outcome.kept.sum() == (1 if near else 2)
    assert len(outcome.ledger) == near


def test_the_arithmetic_set_keeps_its_items_and_raises_the_alarm() -> None:
    texts = [f"What is {one} plus {other}?" for one in range(10, 33) for other in range(10, 33)]
    outcome = deduplicate(one_set(texts, "arithmetic"))
    assert outcome.kept.all()
    assert outcome.sets["arithmetic"].held_back > 520
    assert len(outcome.alarms) == 1
    assert "'arithmetic'" in outcome.alarms[0]
    assert "0 removed" in outcome.alarms[0]
    assert outcome.ledger["decision"].unique().to_list() == ["keep"]
    assert outcome.ledger["reason"].unique().to_list() == ["Not removed: the two differ in numbers."]


def test_without_the_guard_it_would_be_one_item() -> None:
    texts = [f"What is {one} plus {other}?" for one in range(10, 20) for other in range(10, 20)]
    outcome = deduplicate(one_set(texts), Policy(guards={"a": "off"}))
    assert outcome.kept.sum() < 4
    assert outcome.alarms


def test_a_chain_of_small_steps_is_not_one_cluster() -> None:
    corpus = one_set(["x" * step + TEXT[step:] for step in range(0, 60, 6)])
    outcome = deduplicate(corpus)
    assert outcome.kept.sum() > 2
    check(corpus, outcome, Policy(), Threshold())


def test_two_sets_swapped_in_priority_change_only_which_side_is_kept() -> None:
    near = [(text, f"{text} today") for text in families(60, 3, (8, 14))[::3]]
    rows: list[Row] = [("a", f"{at:02}", one) for at, (one, _) in enumerate(near)]
    rows += [("b", f"{at:02}", other) for at, (_, other) in enumerate(near)]
    corpus = corpus_of(rows)
    within: dict[str, str] = {"a": "flag", "b": "flag"}
    first = deduplicate(corpus, Policy(priorities={"a": 1}, within=within))  # type: ignore[arg-type]
    second = deduplicate(corpus, Policy(priorities={"b": 1}, within=within))  # type: ignore[arg-type]
    assert first.sets["b"].near == second.sets["a"].near > 0
    assert first.sets["a"].near == second.sets["b"].near == 0
    mirrored = {"drop_a": "drop_b", "drop_b": "drop_a"}
    found = first.ledger["decision"].to_list()
    assert [mirrored.get(decision, decision) for decision in found] == second.ledger["decision"].to_list()
    assert first.ledger.select("id_a", "id_b", "distance").equals(second.ledger.select("id_a", "id_b", "distance"))


def test_composed_and_decomposed_hangul_are_exact_duplicates() -> None:
    text = "서울은 대한민국의 수도인가요?"
    outcome = deduplicate(one_set([text, unicodedata.normalize("NFD", text)]))
    assert outcome.ledger.select("kind", "distance", "edits").rows() == [("exact", 0.0, 0)]
    assert outcome.kept.sum() == 1


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [("Solve x² = 4 for x", "Solve x2 = 4 for x", "operators"), ("Who pays for US?", "Who pays for us?", "capitals")],
)
def test_what_normalisation_hides_is_told_and_kept(one: str, other: str, kind: str) -> None:
    outcome = deduplicate(one_set([one, other]))
    assert outcome.kept.all()
    assert outcome.ledger["kind"].to_list() == ["exact"]
    assert kind in outcome.ledger["reason"][0]


def test_pseudonyms_of_two_people_do_not_tell_prompts_apart() -> None:
    outcome = deduplicate(one_set(["Call <PHONE_k7q2aaaaaa> now", "Call <PHONE_zzzz222222> now", "Call <PHONE> now"]))
    assert outcome.kept.sum() == 1


def test_one_question_with_two_answers_is_told_and_kept() -> None:
    rows: list[Row] = [("a", "1", "What is the capital of Australia?"), ("a", "2", "what is the capital of australia?")]
    outcome = deduplicate(corpus_of(rows, references=["Sydney", "Canberra"]))
    assert outcome.kept.all()
    assert "different references" in outcome.ledger["reason"][0]
    assert deduplicate(corpus_of(rows, references=["Canberra", " canberra "])).kept.sum() == 1
    assert deduplicate(corpus_of(rows, references=["Canberra", None])).kept.sum() == 1
    traffic = Policy(roles={"a": "traffic"})
    assert deduplicate(corpus_of(rows, references=["Sydney", "Canberra"]), traffic).kept.sum() == 1


def test_contamination_of_goldens_by_a_benchmark_is_its_own_list() -> None:
    rows: list[Row] = [("bench", "b1", TEXT), ("ours", "g1", TEXT + "!"), ("ours", "g2", "something else entirely")]
    outcome = deduplicate(corpus_of(rows), Policy(roles={"bench": "benchmark", "ours": "golden"}))
    assert outcome.kept.all()
    assert outcome.contamination.select("golden_id", "benchmark_id").rows() == [("g1", "b1")]
    assert outcome.ledger["decision"].to_list() == ["flag"]
    assert "golden set 'ours' is contaminated by text of benchmark 'bench'" in outcome.ledger["reason"][0]
    assert outcome.sets["ours"].flagged == 1


def test_many_copies_are_one_row_and_each_is_explained() -> None:
    outcome = deduplicate(one_set([TEXT] * 200 + [TEXT + " again"] * 100))
    assert outcome.kept.sum() == 1
    assert outcome.ledger.filter(pl.col("decision").str.starts_with("drop")).height == 299
    assert (outcome.sets["a"].exact, outcome.sets["a"].near) in ((199, 100), (99, 200))


def test_exact_duplicates_of_traffic_raise_no_alarm_near_ones_do() -> None:
    rows: list[Row] = [("day", f"{at:03}", text) for at, text in enumerate([TEXT] * 50 + families(50, 8))]
    policy = Policy(roles={"day": "traffic"})
    assert any("'day'" in alarm for alarm in deduplicate(corpus_of(rows), policy).alarms)
    assert deduplicate(corpus_of(rows[:50]), policy).alarms == ()
    assert deduplicate(corpus_of(rows[:50])).alarms != ()
    assert deduplicate(corpus_of(rows), Policy(roles={"day": "traffic"}, most_removed=0.9)).alarms == ()


def test_questions_under_one_long_system_prompt_are_kept() -> None:
    system = "You are the assistant of a library. Answer in one sentence, be polite, and name the shelf. " * 4
    asked = ["Where are maps?", "When do you close?", "Who wrote this?", "where are  maps?"]
    outcome = deduplicate(one_set([raw_of([system, question], []) for question in asked]))
    assert outcome.kept.sum() == 3
    assert outcome.sets["a"].exact == 1


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DatasetError, match="differ in length"):
        Corpus(["1"], ["a", "a"], ["x"], ["x"])

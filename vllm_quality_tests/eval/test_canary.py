"""A judge that moved is told from one that is merely unsteady, and from a release that is worse."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from vllm_quality.eval.canary import describe_move, moved_runs, usual_share
from vllm_quality.eval.labelled import LabelsError, first_questions, load_labels

Scores = dict[str, float]
STEADY: Scores = {f"answer {number}": (number % 11) / 10 for number in range(54)}


def shaken(scores: Mapping[str, float], seed: int, *, share: float = 0.2, by: float = 0.1) -> Scores:
    """The scores of the same judge, asked again on a busy server."""
    dice = random.Random(seed)
    return {
        answer: min(1.0, max(0.0, score + (dice.choice((-by, by)) if dice.random() < share else 0)))
        for answer, score in scores.items()
    }


def test_a_judge_that_says_the_same_did_not_move() -> None:
    assert describe_move(STEADY, dict(STEADY)) is None


def test_a_judge_that_is_a_little_unsteady_did_not_move() -> None:
    told = [describe_move(shaken(STEADY, seed), shaken(STEADY, 1000 + seed)) for seed in range(300)]
    assert [reason for reason in told if reason] == []


def test_a_judge_that_became_stricter_moved() -> None:
    stricter = {answer: max(0.0, score - 0.1) for answer, score in shaken(STEADY, 1).items()}
    assert describe_move(stricter, STEADY) == "the judge moved: its mean score of 54 frozen answers went by -0.09"


def test_a_judge_that_changed_its_mind_both_ways_moved() -> None:
    names = sorted(STEADY)
    changed = {**STEADY, **{name: 1 - STEADY[name] for name in names if abs(STEADY[name] - 0.5) >= 0.2}}
    reason = describe_move(changed, STEADY)
    assert reason is not None
    assert "of 54 frozen answers got another score by 0.3 or more" in reason


def test_a_few_changed_answers_are_a_move_only_where_they_are_many() -> None:
    names = sorted(STEADY)
    for count, moved in ((5, False), (6, True)):
        now = {**STEADY, **{name: STEADY[name] + 0.5 for name in names[:count]}}
        assert (describe_move(now, STEADY) is not None) is moved, count


def test_with_little_in_common_nothing_is_told() -> None:
    assert describe_move({"a": 0.0}, {"a": 1.0}) is None
    assert describe_move(STEADY, {f"other {name}": 1.0 for name in STEADY}) is None


def test_a_judge_known_to_be_unsteady_is_given_more_room() -> None:
    history = {f"run {seed}": shaken(STEADY, seed, share=0.15, by=0.4) for seed in range(6)}
    assert usual_share(list(history.values())) > 0.1
    assert moved_runs(shaken(STEADY, 99, share=0.15, by=0.4), history) == {}


def test_only_the_runs_before_the_move_are_barred() -> None:
    stricter = {answer: max(0.0, score - 0.2) for answer, score in STEADY.items()}
    history = {"1": STEADY, "2": shaken(STEADY, 2), "3": shaken(stricter, 3), "4": shaken(stricter, 4)}
    assert list(moved_runs(shaken(stricter, 5), history)) == ["1", "2"]
    assert list(moved_runs(shaken(STEADY, 6), history)) == ["3", "4"]


def test_the_packaged_answers_are_a_fair_set() -> None:
    labelled = load_labels()
    assert len(labelled) >= 40
    languages = {language: [a for a in labelled if a.language == language] for language in ("en", "ko")}
    assert len(languages["en"]) == len(languages["ko"])
    for own in languages.values():
        assert {answer.kind for answer in own} == {"good", "bad", "near miss"}
        assert 0.4 <= sum(answer.right for answer in own) / len(own) <= 0.6
    # Neither the right nor the wrong ones can be told by their length.
    lengths = {right: [len(a.answer) for a in labelled if a.right is right] for right in (True, False)}
    assert sum(lengths[True]) / len(lengths[True]) == pytest.approx(sum(lengths[False]) / len(lengths[False]), rel=0.35)
    assert len({answer.item.id for answer in labelled}) == len(labelled)


def test_a_smaller_canary_is_whole_questions() -> None:
    few = first_questions(load_labels(), 6)
    assert (len(few), {answer.language for answer in few}) == (18, {"en", "ko"})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1 is not JSON"),
        ('{"question": "q", "answer": "a", "label": 1}', "line 1: reference: field required"),
        ('{"question": "q", "answer": "a", "reference": "r", "label": 7}', "line 1: label: input should be less"),
        ("", "has no labelled answers"),
        ('{"question": "q", "answer": "a", "reference": "r", "label": 1}\n' * 2, "has an answer to one question twice"),
    ],
)
def test_labels_that_cannot_be_used_are_named(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "mine.jsonl").write_text(line, encoding="utf-8")
    with pytest.raises(LabelsError, match=f"mine.jsonl.*{says}"):
        load_labels(tmp_path / "mine.jsonl")

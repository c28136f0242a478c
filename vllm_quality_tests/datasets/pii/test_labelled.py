"""What the rules find in sentences whose labels are known: those they were made with, and those they were not."""

from collections import Counter
from functools import cache

import pytest

from vllm_quality.datasets.pii.anonymiser import Anonymiser, build_anonymiser
from vllm_quality.datasets.pii.kinds import KINDS, Found
from vllm_quality_tests.datasets.pii.labelled import SPLITS, Sentence, read_sentences

# Of each kind in each split, at least so much must be found, with its exact place and kind.
LEAST = {
    "tuned": dict.fromkeys(KINDS, 1.0) | {"PERSON": 0.95},
    "held_out": dict.fromkeys(KINDS, 1.0) | {"PHONE": 0.95, "URL_TOKEN": 0.85},
}
MOST_FALSE = {"tuned": 0, "held_out": 2}  # findings that are not labelled


@cache
def redacting() -> Anonymiser:
    return build_anonymiser(None, "labelled")


@cache
def found_in(sentence: Sentence) -> frozenset[Found]:
    return frozenset(redacting().text(sentence.text)[1])


def test_there_are_enough_sentences_of_all_kinds_and_of_none() -> None:
    sentences = [sentence for split in SPLITS for sentence in read_sentences(split)]
    assert len(sentences) >= 500
    assert sum(not sentence.labels for sentence in sentences) >= 150
    assert sum(sentence.language == "ko" for sentence in sentences) >= 200
    for split in SPLITS:
        assert {label.kind for sentence in read_sentences(split) for label in sentence.labels} == set(KINDS)


@pytest.mark.parametrize("split", SPLITS)
def test_recall_of_each_kind(split: str) -> None:
    labelled, found = Counter[str](), Counter[str]()
    for sentence in read_sentences(split):
        for label in sentence.labels:
            labelled[label.kind] += 1
            found[label.kind] += label in found_in(sentence)
    low = {kind: found[kind] / labelled[kind] for kind in KINDS if found[kind] < LEAST[split][kind] * labelled[kind]}
    assert not low


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_no_ones_is_left(split: str) -> None:
    wrong = [place.kind for sentence in read_sentences(split) for place in found_in(sentence) - set(sentence.labels)]
    assert len(wrong) <= MOST_FALSE[split], wrong


def test_what_was_found_is_nowhere_in_what_is_written() -> None:
    for sentence in read_sentences("tuned"):
        written, found = redacting().text(sentence.text)
        for place in found:
            assert sentence.text[place.start : place.end] not in written

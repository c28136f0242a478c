"""The deduplication benchmark runs, and its texts are what it says they are."""

import random
import subprocess
import sys

import pytest

from vllm_quality_tests.benchmarks.corpus import (
    KINDS,
    Kind,
    decomposed,
    edited,
    english,
    korean,
    make_corpus,
    short_texts,
)
from vllm_quality_tests.benchmarks.dedup import pairs_of, recall_cells, truth_of


def test_it_prints_recall_a_comparison_a_bank_and_the_growth() -> None:
    options = ["--size=250", "--against", "--bank=300", "--growth=200,400"]
    command = [sys.executable, "-m", "vllm_quality_tests.benchmarks.dedup", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    ours = next(line for line in lines if line.startswith("| vllm_quality |"))
    assert ours.endswith("| 1.0000 | 1.0000 | 1.0000 | 1.0000 | 1.0000 |")
    assert sum(line.startswith("| datasketch ") for line in lines) == 2
    assert any(line.startswith("Opened and asked in ") for line in lines)
    assert lines[-1].startswith("From 200 to 400 texts, CPU time grows with the power ")


def test_the_filter_and_brute_force_tell_the_same_truth() -> None:
    corpus = make_corpus(900, seed=4)
    truth = truth_of(corpus.texts)
    assert truth == truth_of(corpus.texts, force=0)
    assert recall_cells(truth, truth, corpus) == ["1.0000"] * 5
    assert recall_cells(set(), truth, corpus)[-1] == "–"
    assert pairs_of.__doc__


def test_a_corpus_depends_on_its_size_and_seed_alone() -> None:
    assert make_corpus(300, seed=2) == make_corpus(300, seed=2)
    assert make_corpus(300, seed=2) != make_corpus(300, seed=3)
    lengths = [len(text) for text in make_corpus(2000).texts]
    assert 380 < sum(lengths) / len(lengths) < 500
    assert max(map(len, short_texts(500).texts)) < 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [0.05, 0.195, 0.4])
def test_an_edit_is_about_as_far_as_was_asked_for(kind: Kind, target: float) -> None:
    from rapidfuzz.distance import Levenshtein

    draw = random.Random(1)
    for language in (english(draw), korean(draw)):
        distances = []
        for _ in range(20):
            text = language.text(60, draw)
            distances.append(Levenshtein.normalized_distance(text, edited(text, kind, target, language, draw)))
        assert 0.6 * target < sum(distances) / len(distances) < 1.2 * target


def test_decomposed_twins_are_far_until_they_are_normalised() -> None:
    from rapidfuzz.distance import Levenshtein

    text = korean(random.Random(1)).text(20, random.Random(2))
    (twin,) = decomposed([text])
    assert Levenshtein.normalized_distance(text, twin) > 0.5

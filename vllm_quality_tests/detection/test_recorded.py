"""The recorded releases of a real model, judged: damage is found, and what is as good is left alone."""

import gzip
import json
from functools import cache

from vllm_quality_tests.detection.manifest import manifest
from vllm_quality_tests.detection.recordings import RECORDED
from vllm_quality_tests.detection.replay import Recorded, Row, churn_alarms, false_alarms, load, row_of, share

# Damage that did no harm that these items show: a suite or two gained by it, and none lost two points.
HARMLESS = {"hangul_noise_20", "prefix"}
HISTORIES = 2


@cache
def recorded() -> Recorded:
    return load()


@cache
def rows() -> dict[str, Row]:
    return {each.name: row_of(each, recorded(), "mixed", HISTORIES) for each in recorded().releases}


def test_the_set_is_whole_and_small() -> None:
    stored = json.loads((RECORDED / "manifest.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(manifest()))
    assert sum(path.stat().st_size for path in RECORDED.iterdir()) < 500_000
    for release in recorded().releases:
        for suite, run in release.suites.items():
            assert run.problem is None, (release.name, suite)
            assert {len(scores) for scores in run.scores.values()} == {len(recorded().items[suite].names)}


def test_no_text_of_a_benchmark_is_in_it() -> None:
    for path in RECORDED.glob("*.json.gz"):
        assert not any("가" <= letter <= "힣" for letter in gzip.decompress(path.read_bytes()).decode()), path.name


def test_known_bad_releases_are_detected() -> None:
    bad = {name: row for name, row in rows().items() if row.release.expected == "bad"}
    harmful = {name: row.ours for name, row in bad.items() if name not in HARMLESS}
    assert len(harmful) >= 10
    assert sum(harmful.values()) / len(harmful) >= 0.95, harmful
    for name in HARMLESS:
        assert max(bad[name].loss.values()) < 2, name
        assert not bad[name].within_reach, name
    by_rule = [row.rule for name, row in bad.items() if name not in HARMLESS]
    assert sum(by_rule) < sum(harmful.values())


def test_what_no_score_shows_the_right_answers_logprob_does() -> None:
    found = rows()["hangul_noise_50"]
    assert (found.ours, found.scores, found.rule) == (1.0, 0.0, 0.0)
    assert {name.partition("/")[0] for name in found.parts} == {"det_syllables"}  # the language that is damaged


def test_as_good_releases_are_no_alarm() -> None:
    good = [row for row in rows().values() if row.release.expected == "good"]
    assert share([row.ours > 0 for row in good]) <= 0.01
    assert false_alarms(recorded(), 30)[0] <= 0.01


def test_other_arithmetic_is_no_alarm_to_a_window_that_never_scattered() -> None:
    assert churn_alarms(recorded(), 0.02, 40)[0] <= 0.01

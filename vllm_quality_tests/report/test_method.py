"""The notes name the window, the thresholds, what was tested how, and every hash."""

from dataclasses import replace

from vllm_quality.report.method import method
from vllm_quality.verdict.thresholds import QualityRule
from vllm_quality_tests.report.judged import judged_release, measured_again
from vllm_quality_tests.report.releases import release

DATA = judged_release({"gsm8k": 0.06}, asked={"gsm8k": 800})


def test_the_window_with_its_newest_and_oldest_run() -> None:
    found = method(DATA)
    assert [(run.tag, run.role, run.verdict) for run in found.window] == [
        ("release-1.3.8", "newest", "pass"),
        ("release-1.3.7", "", "pass"),
        ("release-1.3.6", "", "pass"),
        ("release-1.3.5", "oldest", "pass"),
    ]
    assert found.lost == 0
    assert method(replace(DATA, history=DATA.history[:2])).lost == 2


def test_what_was_tested_how() -> None:
    found = method(DATA)
    assert sum(count for count, _, _ in found.detectors) == len(DATA.verdict.findings)
    assert any(what.startswith("Item by item") for _, what, _ in found.detectors)


def test_the_plain_rule_stands_beside_the_statistics() -> None:
    assert "It does not see 1 that the statistics call worse." in method(DATA).rule
    alone = [replace(f, status="pass", rule_says_worse=True) for f in DATA.verdict.findings]
    noisy = replace(DATA, verdict=replace(DATA.verdict, findings=tuple(alone)))
    assert f"{len(alone)} of these are not worse by the statistics" in method(noisy).rule


def test_thresholds_that_changed_since_are_said_to_have() -> None:
    assert method(DATA).thresholds_note.startswith("From thresholds.yaml, ")
    assert DATA.thresholds is not None
    later = DATA.thresholds.model_copy(update={"quality": QualityRule(matters=0.05)})
    assert "was changed after this verdict" in method(replace(DATA, thresholds=later)).thresholds_note
    assert method(release()).thresholds == ()


def test_what_is_relative_and_was_kept_in_nats_is_no_change_of_the_thresholds() -> None:
    data = judged_release({"mmlu_ko": 0.03}, asked={"mmlu_ko": 1000, "gsm8k": 100})
    (logprob,) = (finding for finding in data.verdict.findings if finding.unit == "nats/byte")
    assert logprob.status == "worse"
    assert method(data).thresholds_note.startswith("From thresholds.yaml, ")
    assert data.thresholds is not None
    for update in ({"budget": {"eval/*/gold_logprob": 0.015}}, {"alpha": 0.05}):
        later = replace(data, thresholds=data.thresholds.model_copy(update=update))
        assert "was changed after this verdict" in method(later).thresholds_note


def test_drift_and_second_measurements_are_told_where_they_took_part() -> None:
    whats = [what for _, what, _ in method(measured_again()).detectors]
    assert any(what.startswith("Drift: ") for what in whats)
    assert "Measured again" in dict(method(measured_again()).decided)
    assert not any(what.startswith("Drift: ") for _, what, _ in method(DATA).detectors)
    assert ("Runs looked back for drift", "20") in method(DATA).thresholds
    assert ("Certain without measuring again", "below one in 1,000,000 by chance") in method(DATA).thresholds


def test_every_hash() -> None:
    names = [name for name, _, _ in method(DATA).hashes]
    assert names == [
        "Image",
        "Data snapshot",
        "load/baseline: conditions",
        "load/baseline: tape",
        "load/sweep: conditions",
        "load/sweep: tape",
        "eval/gsm8k: conditions",
    ]

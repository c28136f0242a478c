"""What stands in the report's tables."""

import polars as pl

from vllm_quality.report.tables import quality_rows, stage_tables, untold_reasons
from vllm_quality.results.measurement import Measurement
from vllm_quality_tests.report.releases import release, samples, with_problem, worse_release


def test_quality_rows_count_the_items_of_their_own_metric() -> None:
    report = release()
    findings = {finding.metric: finding for finding in report.verdict.findings}
    korean, judged = report.measurements[1], report.measurements[2]
    (row,) = quality_rows(korean, findings, report.samples["eval/basics_ko"])
    assert (row.row.now, row.stderr, row.row.status) == ("62.0 %", "± 3.1 %", "pass")
    assert (row.items, row.infra_errors, row.not_judged, row.truncated) == ("50", "2", "0", "1")
    mixed = pl.concat([report.samples["eval/deepeval"], samples("deepeval", "other_score", 0, 20)])
    score, apart, passed = quality_rows(judged, findings, mixed)
    assert (apart.row.title, apart.row.status_words, apart.items) == (
        "hallucination score without overlap",
        "not judged",
        "–",
    )
    assert (score.items, score.not_judged) == (passed.items, passed.not_judged) == ("50", "7")


def test_a_metric_without_samples_of_its_own_counts_the_suites_items_once() -> None:
    two = pl.concat([samples("s", "acc", 0, 30, infra_error=1), samples("s", "f1", 0, 30, infra_error=1)])
    (row,) = quality_rows(Measurement("eval/s", {"eval/s/em": 0.5}, "c"), {}, two)
    assert (row.items, row.infra_errors) == ("30", "1")
    (bare,) = quality_rows(Measurement("eval/s", {"eval/s/em": 0.5}, "c"), {}, None)
    assert (bare.items, bare.row.status_words) == ("–", "not judged")


def test_stage_tables() -> None:
    report = worse_release()
    findings = {finding.metric: finding for finding in report.verdict.findings}
    (table,) = stage_tables(report.measurements[0], findings)
    assert (table.scenario, table.stage) == ("baseline", "main")
    assert table.statistics == ("mean", "p50", "p90", "p95", "p99")
    clocks = dict(table.clocks)
    ttft = clocks["TTFT, time to first token"][4]
    assert ttft is not None
    assert (ttft.text, ttft.baseline, ttft.change, ttft.status) == ("256 ms", "184 ms", "+39.0 %", "worse")
    assert clocks["E2E, whole request"][4] is not None
    figures = dict(table.figures)
    assert figures["requests that succeeded"].status == "worse"
    assert figures["http error"].text == "3"
    assert figures["how late the client itself was max"].text == "2.10 ms"


def test_counts_of_nothing_are_left_out_and_missing_percentiles_are_dashes() -> None:
    prefix = "load/s/one"
    metrics = {f"{prefix}/ttft_p50_s": 0.1, f"{prefix}/e2e_p99_s": 0.2, f"{prefix}/timeout_count": 0.0}
    (table,) = stage_tables(Measurement("load/s", metrics, "c"), {})
    assert table.statistics == ("p50", "p99")
    assert [[cell.text if cell else None for cell in cells] for _, cells in table.clocks] == [
        ["100 ms", None],
        [None, "200 ms"],
    ]
    assert table.figures == ()


def test_what_could_not_be_judged() -> None:
    words, reason, metrics = untold_reasons(with_problem(release()).verdict)[0]
    assert (words, reason) == ("not trusted", "load/baseline cannot be trusted: the client was 50 ms late.")
    assert "load/baseline/main: time to first token p99" in metrics

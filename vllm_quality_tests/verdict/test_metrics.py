import pytest

from vllm_quality.settings import Settings
from vllm_quality.verdict.metrics import METRICS, definition_of
from vllm_quality.verdict.thresholds import load_thresholds


@pytest.mark.parametrize(
    ("metric", "higher_is_better", "unit"),
    [
        ("load/baseline/rate-1/ttft_p50_s", False, "s"),
        ("load/baseline/rate-1/chunk_gap_p99_s", False, "s"),
        ("load/baseline/rate-1/ntpot_mean_s", False, "s"),
        ("load/baseline/rate-1/goodput_ratio", True, ""),
        ("load/baseline/rate-1/steady_ttft_p99_s", False, "s"),
        ("load/baseline/rate-1/steady_output_tokens_per_s", True, "1/s"),
        ("load/sweep/plateau/requests_per_s", True, "1/s"),
        ("load/capacity/capacity/rate_per_s", True, "1/s"),
        ("load/baseline/rate-1/send_lag_p99_s", None, "s"),
        ("load/baseline/rate-1/timeout_count", None, "count"),
        ("eval/basics/acc", True, ""),
        ("eval/basics/acc_stderr", None, ""),
        ("eval/basics/gold_logprob", True, "nats/byte"),
        ("eval/basics/gold_logprob_stderr", None, "nats/byte"),
        ("eval/basics/answer_chars", None, "characters"),
        ("eval/basics/answer_tokens_stderr", None, "tokens"),
    ],
)
def test_the_last_part_of_a_path_decides_what_it_is(metric: str, higher_is_better: bool | None, unit: str) -> None:
    definition = definition_of(metric)
    assert definition is not None
    assert (definition.higher_is_better, definition.unit) == (higher_is_better, unit)


def test_what_is_not_listed_is_not_guessed() -> None:
    assert definition_of("load/baseline/rate-1/wonder_p50_s") is None
    assert definition_of("load/baseline/ttft_p50_s") is None


def test_every_kind_has_a_pattern_of_its_own() -> None:
    assert len({definition.pattern for definition in METRICS}) == len(METRICS)


@pytest.mark.parametrize(
    ("metric", "judged"),
    [
        ("load/baseline/rate-1/ttft_p99_s", True),
        ("load/baseline_real/rate-1/tpot_p50_s", True),
        ("load/production/poisson-15/output_tokens_per_s", True),
        ("load/production_real/poisson-15/ttft_p50_s", True),
        ("load/sweep/plateau/requests_per_s", True),
        ("load/sweep_real/plateau/output_tokens_per_s", True),
        ("load/capacity/capacity/rate_per_s", True),
        # Beyond capacity it is a queue that is measured.
        ("load/saturation/rate-40/ttft_p50_s", False),
        ("load/sweep/concurrency-256/ttft_p99_s", False),
        ("load/sweep/concurrency-256/output_tokens_per_s", False),
        # Rows that stand beside the judged ones.
        ("load/baseline/rate-1/steady_ttft_p50_s", False),
        ("load/baseline/rate-1/ttft_mean_s", False),
    ],
)
def test_latencies_are_judged_where_the_endpoint_is_meant_to_keep_up(metric: str, judged: bool) -> None:
    thresholds = load_thresholds(Settings().config_file("thresholds.yaml"))
    assert definition_of(metric) is not None
    assert (thresholds.limit(metric, "performance") is not None) is judged


def test_failures_are_refused_where_no_overload_is_meant() -> None:
    thresholds = load_thresholds(Settings().config_file("thresholds.yaml"))
    assert thresholds.floor("load/production_real/poisson-15/success_ratio") == 0.99
    assert thresholds.floor("load/saturation/rate-40/success_ratio") is None
    assert thresholds.floor("load/sweep/concurrency-256/success_ratio") is None


def test_a_score_without_overlap_is_what_its_plain_one_is_but_held_against_no_earlier_release() -> None:
    for plain in ("eval/arc/acc", "eval/arc/perplexity", "eval/deepeval/rag_accuracy_score"):
        definition, apart = definition_of(plain), definition_of(f"{plain}_without_overlap")
        assert definition is not None
        assert apart is not None
        assert (apart.higher_is_better, apart.unit) == (definition.higher_is_better, definition.unit)
        assert (definition.compared, apart.compared) == (True, False)
    stderr = definition_of("eval/arc/acc_without_overlap_stderr")
    assert stderr is not None
    assert stderr.higher_is_better is None
    assert definition_of("eval/arc/novel_without_overlap") is None

"""What is read from /metrics, in the forms that servers write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.load.figures.prometheus import parse_metrics

V1 = """\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 9999.0
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 7.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 7.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 250.0
vllm:generation_tokens_total{engine="0",model_name="m"} 640.0
vllm:generation_tokens_created{engine="0",model_name="m"} 1.7e+09
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.05",model_name="m"} 4.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 10.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.05",model_name="m"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="m"} 2.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 10.0
vllm:time_to_first_token_seconds_count{engine="1",model_name="m"} 2.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 1.0
vllm:time_to_first_token_seconds_sum{engine="1",model_name="m"} 0.2
vllm:time_to_first_token_seconds_created{engine="0",model_name="m"} 1.7e+09
vllm:request_queue_time_seconds_count{engine="0",model_name="m"} 10.0
vllm:request_queue_time_seconds_sum{engine="0",model_name="m"} 0.5
vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} 6.0
vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} 600.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="m"} 20.0
vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"} 10.0
"""


def test_engines_of_one_model_are_added_up() -> None:
    state = parse_metrics(V1, "m")
    assert state is not None
    assert state.gauges == {"running": 5, "waiting": 7, "kv_cache": 0.5}
    assert state.counters == {"output_tokens": 640, "prefix_queries": 1000, "prefix_hits": 250}
    ttft = state.histograms["ttft"]
    assert (ttft.count, ttft.sum, ttft.mean) == pytest.approx((12, 1.2, 0.1))
    assert ttft.buckets == {0.05: 5, float("inf"): 12}
    means = {name: histogram.mean for name, histogram in state.histograms.items()}
    assert means == pytest.approx({"ttft": 0.1, "queue": 0.05, "itl": 0.01, "e2e": 2.0})


def test_the_first_engines_names_are_known_too() -> None:
    state = parse_metrics(
        'vllm:gpu_cache_usage_perc{model_name="m"} 0.75\n'
        'vllm:time_per_output_token_seconds_sum{model_name="m"} 3.0\n'
        'vllm:time_per_output_token_seconds_count{model_name="m"} 100.0\n',
        "m",
    )
    assert state is not None
    assert state.gauges == {"kv_cache": 0.75}
    assert state.histograms["itl"].mean == pytest.approx(0.03)


def test_an_old_name_beside_its_successor_is_not_counted_twice() -> None:
    both = "".join(
        f'vllm:{name}_{part}{{model_name="m"}} {value}\n'
        for name in ("inter_token_latency_seconds", "time_per_output_token_seconds")
        for part, value in (("sum", 1.0), ("count", 100.0))
    )
    state = parse_metrics(both, "m")
    assert state is not None
    assert state.histograms["itl"].count == 100


def test_another_model_is_left_out() -> None:
    text = 'vllm:num_requests_running{model_name="m"} 1\nvllm:num_requests_running{model_name="other"} 9\n'
    state = parse_metrics(text, "m")
    assert state is not None
    assert state.gauges == {"running": 1}
    assert parse_metrics(text, "third") is None


def test_a_model_asked_for_by_an_alias_is_the_only_one_there() -> None:
    state = parse_metrics('vllm:num_requests_running{model_name="org/real"} 4\n', "alias")
    assert state is not None
    assert state.gauges == {"running": 4}


def test_names_in_labels_may_hold_anything() -> None:
    text = 'vllm:num_requests_running{model_name="a \\"b\\" } \\\\ c",engine="0"} 6 1700000000000\n'
    state = parse_metrics(text + 'vllm:num_requests_running{model_name="x"} 1\n', 'a "b" } \\ c')
    assert state is not None
    assert state.gauges == {"running": 6}


def test_llama_cpp_has_no_labels() -> None:
    text = "llamacpp:requests_processing 2\nllamacpp:requests_deferred 5\nllamacpp:tokens_predicted_total 390\n"
    state = parse_metrics(text, "m")
    assert state is not None
    assert state.gauges == {"running": 2, "waiting": 5}
    assert state.counters == {"output_tokens": 390}


@pytest.mark.parametrize(
    "text",
    ["", "<html>not found</html>", "up 1\n", "vllm:num_requests_running{ 3\n", "vllm:num_requests_running NaN\n"],
)
def test_a_page_that_says_nothing_known_is_none(text: str) -> None:
    assert parse_metrics(text, "m") is None


@given(st.text(alphabet='vllm:num_requests_running{}="\\, \n0.1e+Nle', max_size=200))
def test_no_text_is_too_broken(text: str) -> None:
    parse_metrics("vllm:num_requests_running" + text, "m")


@given(st.text(max_size=20))
def test_any_model_name_is_found_again(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    text = f'vllm:num_requests_running{{model_name="{escaped}"}} 1\nvllm:num_requests_running{{model_name="{escaped}x"}} 2\n'
    state = parse_metrics(text, name)
    if len(name.splitlines()) <= 1 and not name.endswith(tuple("\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")):
        assert state is not None
        assert state.gauges == {"running": 1}

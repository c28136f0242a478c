"""What the known-timing server says at /metrics: vLLM's names, in Prometheus' text format."""

from itertools import accumulate

from vllm_quality.load.play.paced_engine import Engine, Histogram
from vllm_quality.load.play.paced_events import MODEL

_LABELS = f'engine="0",model_name="{MODEL}"'


def exposition(engine: Engine) -> bytes:
    """The server's state, and the histograms over the requests that it served to their ends.

    The KV cache is as full as the slots are; without a bound on those it is empty.
    """
    truth, running = engine.truth, len(engine.running)
    used = running / engine.pace.capacity if engine.pace.capacity else 0.0
    lines = [
        *_value("num_requests_running", "gauge", running),
        *_value("num_requests_waiting", "gauge", engine.waiting),
        *_value("kv_cache_usage_perc", "gauge", used),
        *_value("prompt_tokens_total", "counter", truth.prompt_tokens),
        *_value("generation_tokens_total", "counter", engine.generation_tokens()),
        *_value("request_success_total", "counter", len(truth.id), ',finished_reason="length"'),
    ]
    for name, histogram in truth.histograms.items():
        lines += _histogram(name, histogram)
    return ("\n".join(lines) + "\n").encode()


def _value(name: str, kind: str, value: float, labels: str = "") -> list[str]:
    family = name.removesuffix("_total")
    return [f"# TYPE vllm:{family} {kind}", f"vllm:{name}{{{_LABELS}{labels}}} {float(value)}"]


def _histogram(name: str, histogram: Histogram) -> list[str]:
    counts = list(accumulate(histogram.counts or [0] * (len(histogram.bounds) + 1)))
    bounds = [*map(str, histogram.bounds), "+Inf"]
    return [
        f"# TYPE vllm:{name} histogram",
        *(
            f'vllm:{name}_bucket{{{_LABELS},le="{bound}"}} {float(count)}'
            for bound, count in zip(bounds, counts, strict=True)
        ),
        f"vllm:{name}_count{{{_LABELS}}} {float(counts[-1])}",
        f"vllm:{name}_sum{{{_LABELS}}} {histogram.sum}",
    ]

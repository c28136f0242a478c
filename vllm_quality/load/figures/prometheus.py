"""What a server says at /metrics, in Prometheus' text format: the few series that say how it fared under load."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# Names of vLLM's V1 engine, of its V0 engine, and of llama.cpp's server, which has neither histograms nor labels.
_GAUGES = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "kv_cache",
    "vllm:gpu_cache_usage_perc": "kv_cache",
    "llamacpp:requests_processing": "running",
    "llamacpp:requests_deferred": "waiting",
    "llamacpp:kv_cache_usage_ratio": "kv_cache",
}
_COUNTERS = {
    "vllm:generation_tokens_total": "output_tokens",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:prefix_cache_hits_total": "prefix_hits",
    "vllm:gpu_prefix_cache_hits_total": "prefix_hits",
    "vllm:prefix_cache_queries_total": "prefix_queries",
    "vllm:gpu_prefix_cache_queries_total": "prefix_queries",
    "llamacpp:tokens_predicted_total": "output_tokens",
    "llamacpp:prompt_tokens_total": "prompt_tokens",
}
_HISTOGRAMS = {
    "vllm:time_to_first_token_seconds": "ttft",
    "vllm:request_queue_time_seconds": "queue",
    "vllm:e2e_request_latency_seconds": "e2e",
    "vllm:inter_token_latency_seconds": "itl",
    "vllm:time_per_output_token_seconds": "itl",
}
_PARTS = ("_bucket", "_sum", "_count")
_WANTED = tuple({*_GAUGES, *_COUNTERS, *_HISTOGRAMS})
_LINE = re.compile(r'([A-Za-z_:][A-Za-z0-9_:]*)\s*(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+(\S+)')
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


@dataclass
class Histogram:
    """sum and count of what was observed, and (upper bound -> observations at or below it)."""

    sum: float = 0.0
    count: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)

    def since(self, before: "Histogram") -> "Histogram":
        """What was observed after an earlier scrape."""
        buckets = {bound: count - before.buckets.get(bound, 0.0) for bound, count in self.buckets.items()}
        return Histogram(self.sum - before.sum, self.count - before.count, buckets)

    @property
    def mean(self) -> float | None:
        """None where nothing was observed."""
        return self.sum / self.count if self.count > 0 else None


@dataclass
class ServerState:
    """One scrape. What the server does not tell is absent.

    gauges       running, waiting: requests; kv_cache: share of 1
    counters     output_tokens, prompt_tokens, prefix_hits, prefix_queries: since the server's start
    histograms   ttft, queue, e2e, itl in seconds, since the server's start
    """

    gauges: dict[str, float] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)


def parse_metrics(text: str, model: str) -> ServerState | None:
    """What /metrics says of one model; None where it says nothing that is known here.

    The engines of a model (data parallel ranks) are added up; of their KV caches the fullest counts. Series of other models
    are left out. A model that is asked for by an alias has none of its own name: then those of the only model are taken.
    """
    lines = list(_lines(text))
    names = {labels["model_name"] for _, labels, _ in lines if "model_name" in labels}
    wanted = next(iter(names)) if len(names) == 1 else model
    # A name of V0 that stands beside its successor would count twice.
    kinds: dict[str, str] = {}
    state = ServerState()
    for name, labels, value in lines:
        if labels.get("model_name", wanted) != wanted:
            continue
        family, part = _family(name)
        kind = _GAUGES.get(family) or _COUNTERS.get(family) or _HISTOGRAMS.get(family)
        if kind is None or kinds.setdefault(kind, family) != family:
            continue
        if family in _GAUGES:
            before = state.gauges.get(kind)
            state.gauges[kind] = (
                value if before is None else max(before, value) if kind == "kv_cache" else before + value
            )
        elif family in _COUNTERS:
            state.counters[kind] = state.counters.get(kind, 0.0) + value
        else:
            _observe(state.histograms.setdefault(kind, Histogram()), part, labels, value)
    return state if kinds else None


def _lines(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of the lines that may be wanted. A line that is not well formed is no reason to lose the others."""
    for line in text.splitlines():
        if not line.startswith(_WANTED):
            continue
        found = _LINE.match(line)
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        if math.isfinite(value):
            yield found[1], {name: _unescape(told) for name, told in _LABEL.findall(found[2] or "")}, value


def _unescape(told: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], told) if "\\" in told else told


def _family(name: str) -> tuple[str, str]:
    """(the histogram's name, which part of it); of other series, (the name, "")."""
    for part in _PARTS:
        if name.endswith(part) and name.removesuffix(part) in _HISTOGRAMS:
            return name.removesuffix(part), part
    return name, ""


def _observe(histogram: Histogram, part: str, labels: dict[str, str], value: float) -> None:
    if part == "_sum":
        histogram.sum += value
    elif part == "_count":
        histogram.count += value
    elif part == "_bucket":
        try:
            bound = float(labels["le"])
        except (KeyError, ValueError):
            return
        histogram.buckets[bound] = histogram.buckets.get(bound, 0.0) + value

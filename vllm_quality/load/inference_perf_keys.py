"""The keys of an inference-perf configuration (0.2.0 to 0.7.0): which are taken, which do nothing here, which are refused.

Strict, because a key that is silently dropped is a measurement of something else. A key is ignored only where that changes
no figure; null, and the empty or false value of a refused key, say nothing and are passed over: inference-perf's own
config.yaml, which it writes beside its reports, is full of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

from vllm_quality.load.inference_perf_schema import Keys

_PROMETHEUS = "the server's own /metrics is read each second, without a Prometheus"
_ALWAYS = "every one of these files is always written"
_PROBE = "no probe guesses the saturation here: the ladder is climbed until throughput no longer grows"
_NO_LORA = "nothing is sent to adapters here"

IGNORED: Mapping[str, str] = {
    "load.interval": "a stage begins when every request of the one before has ended",
    "load.worker_max_concurrency": "no request waits in the client for another one's end",
    "load.worker_max_tcp_connections": "each request in flight has a connection of its own",
    "load.sweep.num_requests": _PROBE,
    "load.sweep.timeout": _PROBE,
    "load.sweep.saturation_percentile": _PROBE,
    "data.input_distribution.total_count": "each request has a prompt of its own, as many as there are requests",
    "data.output_distribution.total_count": "each request has a length of its own, as many as there are requests",
    "data.shared_prefix.num_prompts_per_group": "each request has a question of its own behind its prefix",
    "data.shared_prefix.num_users_per_system_prompt": "each request has a question of its own behind its prefix",
    "metrics": _PROMETHEUS,
    "report.prometheus": _PROMETHEUS,
    "report.request_lifecycle.summary": _ALWAYS,
    "report.request_lifecycle.per_stage": _ALWAYS,
    "report.request_lifecycle.per_request": "requests.parquet has a row for each request, always",
    "report.request_lifecycle.per_adapter": _NO_LORA,
    "report.request_lifecycle.per_adapter_stage": _NO_LORA,
    "report.request_lifecycle.use_server_output_tokens": "tokens are the server's count wherever it gives one",
    "report.request_lifecycle.max_error_messages": "every failed request is in requests.parquet with its reason",
    "report.session_lifecycle": "requests.parquet names each request's session and turn",
    "storage.simple_storage_service.region_name": "AWS_REGION says it",
    "storage.simple_storage_service.addressing_style": "path style is used with an endpoint_url, AWS's own without",
    "tokenizer.trust_remote_code": "no tokenizer's code is run",
    "tokenizer.token": "no tokenizer is downloaded",
}

_OWN_CLIENT = "put a proxy that adds it before the server"
REFUSED: Mapping[str, str] = {
    "api.headers": "an API key goes into server.api_key, for other headers " + _OWN_CLIENT,
    "api.slo_unit": "limits go into report.goodput.constraints, in seconds",
    "api.slo_tpot_header": "limits go into report.goodput.constraints",
    "api.slo_ttft_header": "limits go into report.goodput.constraints",
    "api.session_id_header_key": _OWN_CLIENT,
    "api.session_token_header_key": _OWN_CLIENT,
    "data.corpus_file_path": "synthetic prompts are drawn from common words, for texts of your own use data.type shareGPT "
    "with data.path",
    "data.multimodal": "only text is sent",
    "data.visionarena": "only text is sent",
    "data.otel_trace_replay": "convert the trace to conversations and use data.type shareGPT with data.path",
    "data.weka_trace_replay": "convert the trace to conversations and use data.type shareGPT with data.path",
    "data.conversation_replay": "use data.type shareGPT with a file of conversations in data.path",
    "data.use_chat_template": "use api.type chat, where the server applies its own template",
    "data.shared_prefix.enable_multi_turn_chat": "use a scenario with data and turns: sessions",
    "data.shared_prefix.multimodal": "only text is sent",
    "load.circuit_breakers": "a run ends by itself when the server is gone: remove it",
    "load.lora_traffic_split": "put the adapter's name into server.model_name, a run for each",
    "circuit_breakers": "a run ends by itself when the server is gone: remove it",
    "report.goodput.constraints.ntpot": "limit tpot and request_latency in its place",
    "server.cert_path": "client certificates are not sent: " + _OWN_CLIENT,
    "server.key_path": "client certificates are not sent: " + _OWN_CLIENT,
    "storage.local_storage.report_file_prefix": "files keep their names; put it into path",
    "storage.simple_storage_service.report_file_prefix": "files keep their names; put it into path",
    "storage.google_cloud_storage": "use simple_storage_service with endpoint_url https://storage.googleapis.com and HMAC keys",
}


@dataclass
class Sorted:
    """A configuration's keys by what becomes of them: taken ones with their values, and a sentence for each other one."""

    taken: dict[str, Any] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)


def sort_keys(config: Mapping[Any, Any]) -> Sorted:
    """Every key of a configuration, at whatever depth."""
    found = Sorted()
    found.taken = _sort(config, "", "", found)
    return found


def _sort(config: Mapping[Any, Any], place: str, pattern: str, found: Sorted) -> dict[str, Any]:
    """The taken keys. place: where `config` stands, as the file has it; pattern: the same without positions in lists."""
    taken: dict[str, Any] = {}
    for key, value in config.items():
        here, known = f"{place}{key}", f"{pattern}{key}"
        if known in IGNORED:
            if value is not None:
                found.ignored.append(f"{here} has no effect: {IGNORED[known]}.")
        elif known in REFUSED:
            if value:
                found.wrong[here] = f"has no meaning here ({REFUSED[known]})"
        elif known not in _TAKEN and not any(known.startswith(f"{free}.") for free in _FREE):
            found.wrong[here] = f"is no key of inference-perf{_nearest(known)}"
        elif isinstance(value, Mapping):
            taken[key] = value if known in _FREE else _sort(value, f"{here}.", f"{known}.", found)
        elif isinstance(value, list):
            taken[key] = [
                _sort(entry, f"{here}[{number}].", f"{known}.", found) if isinstance(entry, Mapping) else entry
                for number, entry in enumerate(value)
            ]
        elif value is not None:
            taken[key] = value
    return taken


def _nearest(pattern: str) -> str:
    folder, _, key = pattern.rpartition(".")
    beside = [known.rpartition(".")[2] for known in (*_TAKEN, *IGNORED) if known.rpartition(".")[0] == folder]
    near = get_close_matches(key, beside, n=1)
    return f" ({near[0]} is one)" if near else ""


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in _models(info.annotation):
            yield from _paths(inner, f"{prefix}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


_FREE = ("api.response_format.json_schema",)  # whose own keys are the user's
_TAKEN = tuple(_paths(Keys))


_OF_DATA: Mapping[str, tuple[str, ...]] = {
    "shareGPT": ("path",),
    "synthetic": ("input_distribution", "output_distribution"),
    "random": ("input_distribution", "output_distribution", "trace"),
    "shared_prefix": ("shared_prefix",),
}
_OF_STAGE: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("constant", "poisson", "trace_replay"), ("rate", "duration")),
    "concurrent": ("concurrency_level", "num_requests"),
}


def misplaced(taken: Mapping[str, Any]) -> dict[str, str]:
    """Key -> why it has no meaning, or must be there, with the types of data and load that the configuration has."""
    data, load = _mapping(taken, "data"), _mapping(taken, "load")
    return dict([*_data_wrong(data, load), *_load_wrong(load)])


def _data_wrong(data: Mapping[str, Any], load: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind, played = data.get("type"), _mapping(load, "trace").get("file")
    if not isinstance(kind, str) or kind not in _OF_DATA:
        return
    for key in data:
        if key != "type" and key not in _OF_DATA[kind]:
            hint = " (conversations are not chosen by length: filter the file)" if key.endswith("_distribution") else ""
            yield f"data.{key}", f"has no meaning with data.type {kind}{hint}"
    replayed = "trace" in data or load.get("type") == "trace_replay"
    for key in _OF_DATA[kind]:
        if key not in data and key not in ("path", "trace") and not (replayed and kind != "shared_prefix"):
            yield f"data.{key}", f"is missing, which data.type {kind} needs"
    if "trace" in _OF_DATA[kind] and _mapping(data, "trace").get("file", played) != played:
        yield "data.trace.file", "is not load.trace.file (one trace tells both times and lengths here)"


def _load_wrong(load: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind = load.get("type", "constant")
    stages = load.get("stages") or []
    if not isinstance(kind, str) or kind not in _OF_STAGE or not isinstance(stages, list):
        return
    for number, stage in enumerate(stages):
        if isinstance(stage, Mapping):
            for key in stage:
                if key not in _OF_STAGE[kind]:
                    yield f"load.stages[{number}].{key}", f"has no meaning with load.type {kind}"
            for key in _OF_STAGE[kind]:
                if key not in stage:
                    yield f"load.stages[{number}].{key}", f"is missing, which load.type {kind} needs"
    if kind == "trace_replay":
        if "trace" not in load:
            yield "load.trace", "is missing, which load.type trace_replay needs"
        if len(stages) > 1:
            yield "load.stages", "are several, and a trace is played once (leave one)"
    elif "trace" in load:
        yield "load.trace", f"has no meaning with load.type {kind} (use trace_replay)"
    if "sweep" in load:
        if kind not in ("constant", "poisson"):
            yield "load.sweep", f"has no meaning with load.type {kind} (use constant)"
        if stages:
            yield "load.stages", "have no meaning beside load.sweep, which makes its own (remove one of the two)"
    elif not stages and kind != "trace_replay":
        yield "load.stages", "are missing (add at least one)"


def _mapping(keys: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = keys.get(name)
    return found if isinstance(found, Mapping) else {}

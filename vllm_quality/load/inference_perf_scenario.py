"""What an inference-perf configuration has its requests be, as a scenario, and in what it differs from the original."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vllm_quality.load.data.lengths import Lengths, Spread
from vllm_quality.load.inference_perf_schema import Distribution, Keys, LoadKeys, SharedPrefix, SweepKeys
from vllm_quality.load.scenario import SAMPLE, Data, Scenario, Slo, Sweep, Timeouts
from vllm_quality.load.scenario import SharedPrefix as Prefix
from vllm_quality.load.schedule import Concurrency, Constant, Load, Poisson, Trace

MOST_STREAMS = 256  # of a sweep's last stage
_TRACE_TOKENS = (512, 128)  # of a request whose tokens the trace does not tell


def scenario_of(keys: Keys, file: str, conversations: Path | None, notices: list[str]) -> Scenario:
    """The scenario of a configuration; adds to `notices`. Raises pydantic's `ValidationError` for impossible values."""
    parts: dict[str, Any] = {}
    response = keys.api.response_format
    if response is not None:
        schema = {"json_schema": {"name": response.name, "schema": response.json_schema}}
        parts["hyperparameters"] = {
            "response_format": {"type": response.type, **(schema if response.type == "json_schema" else {})}
        }
    limits = keys.report.goodput.constraints
    if limits.model_dump(exclude_none=True):
        parts["slo"] = Slo(ttft=limits.ttft, tpot=limits.tpot, itl=limits.itl, e2e=limits.request_latency)
    if (seconds := keys.load.request_timeout) is not None:
        # Nothing but the whole request has a limit there.
        parts["timeouts"] = Timeouts(connect=min(10, seconds), first_token=seconds, stall=seconds, total=seconds)
    if keys.load.sweep is not None:
        parts["sweep"] = Sweep()
    notices.append("Every request asks for temperature 0, where inference-perf leaves it to the server.")
    prefix = keys.data.shared_prefix
    seed = keys.load.base_seed if keys.load.base_seed is not None else prefix.seed if prefix is not None else None
    return Scenario(
        name="inference_perf",
        profile="custom",
        title=f"{file}, a configuration of inference-perf",
        api="chat" if keys.api.type == "chat" else "completions",
        streaming=keys.api.streaming,
        seed=seed or 0,
        ignore_eos=keys.server.ignore_eos,
        stages=_labelled(_ladder(keys.load.sweep, notices) if keys.load.sweep else _stages(keys.load, notices)),
        **_data(keys, conversations, notices),
        **parts,
    )


def _stages(load: LoadKeys, notices: list[str]) -> Iterator[Load]:
    if load.type == "constant":
        notices.append(
            "load.type constant is evenly spaced here; inference-perf spaces it at random, as bursty as poisson."
        )
    if load.trace is not None:
        notices.append(
            "The whole trace is played once, with its own times and lengths; inference-perf takes rate x duration requests "
            "of it."
        )
        yield Trace(type="trace", path=str(Path(load.trace.file).absolute()))
        return
    for stage in load.stages:
        told = stage.model_dump(exclude_none=True)
        if load.type == "concurrent":
            yield Concurrency(type="concurrency", streams=told["concurrency_level"], requests=told["num_requests"])
        elif load.type == "poisson":
            yield Poisson(type="poisson", rate=told["rate"], duration_s=told["duration"])
        else:
            yield Constant(type="constant", rate=told["rate"], duration_s=told["duration"])


def _ladder(sweep: SweepKeys, notices: list[str]) -> Iterator[Load]:
    """Numbers of streams up to `MOST_STREAMS`, in equal steps or equal factors."""
    last = sweep.num_stages - 1
    streams = [
        round(MOST_STREAMS ** (step / last))
        if sweep.type == "geometric"
        else round(1 + (MOST_STREAMS - 1) * step / last)
        for step in range(sweep.num_stages)
    ]
    rising = sorted(set(streams))
    notices.append(
        f"load.sweep is a ladder of {', '.join(map(str, rising))} concurrent requests that ends where throughput no longer "
        "grows; inference-perf guesses a saturation rate from a burst, also where there is none, and plays rates up to it."
    )
    for number in rising:
        yield Concurrency(type="concurrency", streams=number, duration_s=sweep.stage_duration)


def _labelled(stages: Iterator[Load]) -> tuple[Load, ...]:
    """The stages; those that would have one name are numbered from the second on."""
    seen, labelled = Counter[str](), []
    for stage in stages:
        seen[stage.label] += 1
        again = seen[stage.label]
        labelled.append(stage if again == 1 else stage.model_copy(update={"name": f"{stage.label}-no{again}"}))
    return tuple(labelled)


def _data(keys: Keys, conversations: Path | None, notices: list[str]) -> dict[str, Any]:
    data = keys.data
    if data.type == "shareGPT":
        return {"data": _conversations(keys, conversations, notices)}
    if data.shared_prefix is not None:
        return _prefixed(data.shared_prefix)
    asked, answered = data.input_distribution, data.output_distribution
    if asked is None or answered is None:
        return dict(zip(("input_tokens", "output_tokens"), _TRACE_TOKENS, strict=True))
    return {"input_tokens": _lengths(asked), "output_tokens": _lengths(answered)}


def _conversations(keys: Keys, conversations: Path | None, notices: list[str]) -> Data:
    path = keys.data.path
    if path is None and conversations is not None:
        path = str(conversations)
        notices.append(f"data.type shareGPT has no path: {path} is played, as VLLM_QUALITY_CONVERSATIONS says.")
    elif path is None:
        notices.append(
            "data.type shareGPT has no path, and nothing is downloaded: the package's 40 sample conversations are played, again and again, "
            "which are no ShareGPT. Download ShareGPT_V3_unfiltered_cleaned_split.json and name it in data.path or in "
            "VLLM_QUALITY_CONVERSATIONS."
        )
        return Data(path=SAMPLE, turns=_turns(keys))
    if keys.api.type == "chat":
        notices.append(
            "Of each conversation the last question is asked, with all before it; inference-perf sends the last answer too."
        )
    return Data(path=str(Path(path).absolute()), turns=_turns(keys))


def _turns(keys: Keys) -> Any:
    # As there: a completion is asked the first message alone.
    return "last" if keys.api.type == "chat" else "first"


def _prefixed(prefix: SharedPrefix) -> dict[str, Any]:
    asked = prefix.question_distribution or prefix.question_len
    question = asked if isinstance(asked, int) else _lengths(asked)
    answered = prefix.output_distribution or prefix.output_len
    length = prefix.system_prompt_len
    return {
        "shared_prefix": Prefix(groups=prefix.num_unique_system_prompts or prefix.num_groups or 10, tokens=length),
        "input_tokens": question + length
        if isinstance(question, int)
        else Spread(
            mean=question.mean + length, std=question.std, min=question.min + length, max=question.max + length
        ),
        "output_tokens": answered if isinstance(answered, int) else _lengths(answered),
    }


def _lengths(distribution: Distribution) -> Lengths:
    """Normal and clipped; one length where nothing varies."""
    if distribution.type == "fixed":
        return int(distribution.mean)
    deviation = distribution.variance**0.5 if distribution.variance else distribution.std_dev
    return Spread(
        mean=distribution.mean,
        std=200 if deviation is None else deviation,
        min=distribution.min,
        max=distribution.max,
    )

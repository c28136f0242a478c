"""The scenario that the options of `vllm-quality load-test` describe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vllm_quality.load.errors import LoadError
from vllm_quality.load.option_values import lengths, numbers, positive, seconds, slo
from vllm_quality.load.options import LoadTestOptions, chosen_load
from vllm_quality.load.scenario import Scenario, load_scenarios
from vllm_quality.settings import Profile

DEFAULT_INPUT_TOKENS = DEFAULT_OUTPUT_TOKENS = 128
DEFAULT_STEP_S = 30.0  # each load of a sweep for which nothing else is said


def scenario_from_options(options: LoadTestOptions, scenarios_file: Path, profile: Profile) -> Scenario:
    """The scenario that the options describe (not of --tape or --config, which bring their own).

    scenarios_file, profile: where --scenario is looked up, unless --profile says otherwise. Raises `LoadError`, one sentence.
    """
    load = chosen_load(options)
    if load == "scenario":
        return _named(options, scenarios_file, options.profile or profile)
    settings = {
        "name": "load_test",
        "profile": "custom",
        "title": _title(options, load),
        "api": options.api or "completions",
        **_content(options),
        **_limits(options),
        **_load(options, load),
    }
    return validated(settings)


def with_limits(scenario: Scenario, options: LoadTestOptions) -> Scenario:
    """A replayed scenario with the SLO and timeouts of the options, which change no request."""
    return validated({**scenario.model_dump(mode="json"), **_limits(options, scenario)})


def validated(settings: Mapping[str, Any]) -> Scenario:
    """The scenario of these settings. Raises `LoadError`, one sentence."""
    try:
        return Scenario.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise LoadError(f"The load test {f'has a {where} that is wrong: ' if where else ''}{reason}.") from None


def _named(options: LoadTestOptions, scenarios_file: Path, profile: Profile) -> Scenario:
    scenarios = {scenario.name: scenario for scenario in load_scenarios(scenarios_file, profile)}
    if options.scenario not in scenarios:
        raise LoadError(
            f"There is no scenario {options.scenario!r} in {scenarios_file} (there: {', '.join(scenarios)}); choose one."
        )
    found = scenarios[options.scenario]
    changes = _limits(options, found)
    changes |= {
        name: value
        for name, value in {
            "api": options.api,
            "streaming": options.streaming,
            "ignore_eos": options.ignore_eos,
        }.items()
        if value is not None
    }
    if options.seed is not None:
        changes["seed"] = options.seed
    if options.data is not None:
        changes |= {"data": _data(options), "input_tokens": None, "shared_prefix": None}
    if options.input_tokens is not None:
        changes |= {"input_tokens": lengths(options.input_tokens), "data": None}
    if options.output_tokens is not None:
        changes["output_tokens"] = lengths(options.output_tokens)
    # What was changed by hand is no longer what the file calls by that profile.
    custom = {"profile": "custom"} if changes else {}
    return validated({**found.model_dump(mode="json"), **changes, **custom})


def _title(options: LoadTestOptions, load: str) -> str:
    match load:
        case "concurrency":
            return f"{options.concurrency} in flight"
        case "rate":
            return f"{options.rate:g} requests/s"
        case "users":
            return f"{options.users} users"
        case "sweep":
            return "throughput against latency"
        case _:
            return "capacity search"


def _content(options: LoadTestOptions) -> dict[str, Any]:
    content: dict[str, Any] = {"seed": options.seed or 0}
    if options.streaming is not None:
        content["streaming"] = options.streaming
    # Synthetic prompts do equal work only where the length is enforced; real ones end where the model ends them.
    content["ignore_eos"] = options.ignore_eos if options.ignore_eos is not None else options.data is None
    if options.data is not None:
        output = lengths(options.output_tokens) if options.output_tokens is not None else None
        return content | {"data": _data(options), "output_tokens": output}
    return content | {
        "input_tokens": lengths(options.input_tokens or str(DEFAULT_INPUT_TOKENS)),
        "output_tokens": lengths(options.output_tokens or str(DEFAULT_OUTPUT_TOKENS)),
    }


def _data(options: LoadTestOptions) -> dict[str, Any]:
    path = str(options.data)
    told = {"path": path if path == "sample" else str(Path(path).absolute()), "format": options.data_format or "auto"}
    return told | ({"turns": options.turns} if options.turns else {})


def _limits(options: LoadTestOptions, base: Scenario | None = None) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if options.slo is not None:
        limits["slo"] = slo(options.slo)
    timeouts: dict[str, float] = {}
    if options.timeout is not None:
        timeouts |= {"total": options.timeout, "first_token": options.timeout}
    if options.stall_timeout is not None:
        timeouts["stall"] = options.stall_timeout
    if timeouts:
        limits["timeouts"] = (base.timeouts.model_dump() if base is not None else {}) | timeouts
    return limits


def _load(options: LoadTestOptions, load: str) -> dict[str, Any]:
    length = {} if options.duration is None else {"duration_s": positive(options.duration, "--duration")}
    count = {} if options.requests is None else {"requests": options.requests}
    match load:
        case "concurrency":
            if not length and not count:
                raise LoadError("--concurrency needs --requests or --duration, which end it; give one of them.")
            return {"stages": [{"type": "concurrency", "streams": options.concurrency, **count, **length}]}
        case "rate":
            if not length:
                raise LoadError("--rate needs --duration, which ends it; give it, such as --duration 60s.")
            return {"stages": [{**_arrival(options), "rate": options.rate, **length}]}
        case "users":
            if options.runtime is None and options.data is None:
                raise LoadError("--users needs --runtime, or --data to be used up; give one of them.")
            runtime = {"runtime_s": seconds(options.runtime or "0", "--runtime")}
            spawn = {"spawn_rate": options.spawn_rate or 1.0}
            return {"stages": [{"type": "users", "users": options.users, **spawn, **runtime}]}
        case "sweep":
            return {"stages": _ladder(options, count, length), "sweep": {}}
        case _:
            return _search(options)


def _arrival(options: LoadTestOptions) -> dict[str, Any]:
    kind = options.arrival or ("gamma" if options.burstiness is not None else "constant")
    if (kind == "gamma") != (options.burstiness is not None):
        raise LoadError("--arrival gamma needs --burstiness and nothing else takes it; give both or neither.")
    return {"type": kind, **({"burstiness": options.burstiness} if kind == "gamma" else {})}


def _ladder(options: LoadTestOptions, count: Mapping[str, Any], length: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps = numbers(str(options.sweep), "--sweep")
    ends = {**count, **length} or {"duration_s": DEFAULT_STEP_S}
    if options.sweep_over == "rate":
        if count:
            raise LoadError(
                "--requests means nothing with --sweep-over rate, whose stages end by --duration; leave it out."
            )
        return [{**_arrival(options), "rate": step, **ends} for step in steps]
    if options.arrival is not None or options.burstiness is not None:
        raise LoadError("--arrival and --burstiness are for rates; add --sweep-over rate or leave them out.")
    if any(step != int(step) for step in steps):
        raise LoadError(
            f"--sweep {options.sweep} has a fraction of a stream; give whole numbers, or --sweep-over rate."
        )
    return [{"type": "concurrency", "streams": int(step), **ends} for step in steps]


def _search(options: LoadTestOptions) -> dict[str, Any]:
    bounds = numbers(str(options.capacity), "--capacity")
    if len(bounds) != 2:
        raise LoadError("--capacity takes the lowest and the highest rate, such as --capacity 1,50; correct it.")
    if options.slo is None:
        raise LoadError(
            "--capacity searches the highest rate that holds an SLO; give one, such as --slo ttft=0.5,tpot=0.05."
        )
    return {"capacity": {"lowest": bounds[0], "highest": bounds[1]}}

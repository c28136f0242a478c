"""The options of `vllm-quality load-test`, as they were typed, and which of them go together."""

from dataclasses import dataclass
from pathlib import Path

from vllm_quality.load.errors import LoadError
from vllm_quality.settings import Profile

# Option -> the flag as typed. Exactly one of these says what is played.
_LOADS = {
    "scenario": "--scenario",
    "concurrency": "--concurrency",
    "rate": "--rate",
    "users": "--users",
    "sweep": "--sweep",
    "capacity": "--capacity",
    "tape": "--tape",
    "config": "--config",
}
# Option -> the loads that it means something for.
_BELONGS = {
    "profile": ("scenario",),
    "requests": ("concurrency", "sweep"),
    "duration": ("concurrency", "rate", "sweep"),
    "arrival": ("rate", "sweep"),
    "burstiness": ("rate", "sweep"),
    "sweep_over": ("sweep",),
    "spawn_rate": ("users",),
    "runtime": ("users",),
}
# What shapes the requests: fixed where a tape or a configuration file brings them.
_SHAPES = ("api", "input_tokens", "output_tokens", "data", "data_format", "turns", "streaming", "ignore_eos", "seed")


@dataclass(frozen=True, kw_only=True)
class LoadTestOptions:
    """What was typed; None where nothing was. Durations, token counts and the SLO are still text."""

    base_url: str | None = None
    model: str | None = None
    api: str | None = None
    scenario: str | None = None
    profile: Profile | None = None
    concurrency: int | None = None
    requests: int | None = None
    rate: float | None = None
    duration: str | None = None
    arrival: str | None = None
    burstiness: float | None = None
    users: int | None = None
    spawn_rate: float | None = None
    runtime: str | None = None
    sweep: str | None = None
    sweep_over: str | None = None
    capacity: str | None = None
    tape: Path | None = None
    config: Path | None = None
    input_tokens: str | None = None
    output_tokens: str | None = None
    data: str | None = None
    data_format: str | None = None
    turns: str | None = None
    streaming: bool | None = None
    ignore_eos: bool | None = None
    slo: str | None = None
    timeout: float | None = None
    stall_timeout: float | None = None
    seed: int | None = None
    workers: int | None = None
    tokenizer: Path | None = None
    output: Path | None = None
    upload: str | None = None
    calibration: bool = True
    save_tape: bool = True


def flag(option: str) -> str:
    """An option as it is typed."""
    return {"api": "--endpoint", "data_format": "--format"}.get(option, f"--{option.replace('_', '-')}")


def chosen_load(options: LoadTestOptions) -> str:
    """Which of the ways to say what is played was taken. Raises `LoadError` when it is none, several, or has stray options."""
    given = [name for name in _LOADS if getattr(options, name) is not None]
    if not given:
        raise LoadError(
            "Nothing says what load to play; give one of --concurrency, --rate, --users, --scenario, --sweep, --capacity, "
            "--tape or --config."
        )
    if len(given) > 1:
        raise LoadError(f"{_LOADS[given[0]]} and {_LOADS[given[1]]} are two different loads; give one of them.")
    load = given[0]
    for option, loads in _BELONGS.items():
        if getattr(options, option) is not None and load not in loads:
            raise LoadError(
                f"{flag(option)} means nothing with {_LOADS[load]}, only with {' or '.join(_LOADS[name] for name in loads)}; "
                "leave it out."
            )
    if load in ("tape", "config"):
        for option in (*_SHAPES, *(("slo", "timeout", "stall_timeout") if load == "config" else ())):
            if getattr(options, option) is not None and (load, option) != ("config", "seed"):
                source = "tape, whose requests are fixed" if load == "tape" else "configuration file, which says it"
                raise LoadError(f"{flag(option)} cannot be combined with a {source}; leave it out.")
    if options.data is None and (options.data_format is not None or options.turns is not None):
        stray = "data_format" if options.data_format is not None else "turns"
        raise LoadError(f"{flag(stray)} says how to read --data, and there is none; give --data or leave it out.")
    if options.data is not None and options.input_tokens is not None:
        raise LoadError("--input-tokens is for synthetic prompts and --data brings its own; leave one of them out.")
    return load

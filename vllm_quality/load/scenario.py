"""Load scenarios: the one description of a load test behind every door, and how `configs/scenarios.yaml` is read."""

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from vllm_quality.load.data.lengths import MAX_TOKENS, Lengths, shortest
from vllm_quality.load.errors import LoadError
from vllm_quality.load.schedule import Concurrency, Constant, Gamma, Load, Poisson, Trace, Users
from vllm_quality.settings import Profile

Api = Literal["chat", "completions"]
ScenarioProfile = Literal[Profile, "custom"]
SAMPLE = "sample"  # as `data.path`: the conversations that come with the package

# Body keys that the tape or the wire sets itself; a second value for one of them would be sent beside the first.
_OWN_KEYS = {
    "max_tokens": "output_tokens",
    "max_completion_tokens": "output_tokens",
    "temperature": "temperature",
    "ignore_eos": "ignore_eos",
    "stream": "streaming",
    "stream_options": "streaming",
    "prompt": "data or input_tokens",
    "messages": "data or input_tokens",
    "model": "the endpoint's model",
}


class ScenarioError(LoadError):
    """A scenarios file cannot be used; the sentence names the file and the key."""


class _Strict(BaseModel):
    # Defaults are validated so that 0 and 0.0 are one number, left out or spelled out: they are hashed.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class Timeouts(_Strict):
    """Seconds after which a request is given up.

    connect       name, TCP and TLS together
    first_token   from sending to the first token
    stall         silence after the first token
    total         from sending to the end
    """

    connect: float = Field(10, gt=0, le=3600)
    first_token: float = Field(120, gt=0, le=86_400)
    stall: float = Field(30, gt=0, le=86_400)
    total: float = Field(600, gt=0, le=86_400)


class Trust(_Strict):
    """When the figures of a run are not to be compared.

    client_lag_p99_s   the client itself was later than this: it was the bottleneck
    max_failed_share   more requests than this failed: the rest is no sample of the load that was meant. Fewer failures
                       are the release's own and are judged through success_ratio
    min_ok             fewer requests than this succeeded
    """

    client_lag_p99_s: float = Field(0.010, gt=0)
    max_failed_share: float = Field(0.5, ge=0, le=1)
    min_ok: int = Field(5, ge=1)


class SharedPrefix(_Strict):
    """Synthetic prompts begin with one of `groups` common prefixes of `tokens` tokens, as with a few system prompts."""

    groups: int = Field(ge=1, le=100_000)
    tokens: int = Field(ge=1, le=MAX_TOKENS)


class Data(_Strict):
    """Conversations from a file, in place of synthetic prompts.

    path      absolute, relative to the scenarios file, or "sample": the conversations that come with the package
    format    see `data.conversations`; "auto" tells it from the content
    columns   which column holds what, for rows whose columns have names of their own
    turns     "first": the first word of the user; "last": the last one, with all that was said before; "sessions": every
              turn, one after the other, with the history as it was recorded
    """

    path: str = Field(min_length=1)
    format: str = "auto"
    columns: dict[str, str] | None = None
    turns: Literal["first", "last", "sessions"] = "last"


class Slo(_Strict):
    """What a request must keep to count as good, seconds; and the share of requests that must.

    ttft, tpot, e2e as they are defined in `figures.metrics`; itl: the mean of a request's inter-token latencies.
    """

    ttft: float | None = Field(None, gt=0)
    tpot: float | None = Field(None, gt=0)
    itl: float | None = Field(None, gt=0)
    e2e: float | None = Field(None, gt=0)
    target: float = Field(0.95, gt=0, le=1)

    @model_validator(mode="after")
    def _limits_something(self) -> "Slo":
        if self.ttft is self.tpot is self.itl is self.e2e is None:
            raise ValueError("limits nothing; give it ttft, tpot, itl or e2e in seconds")
        return self


class Sweep(_Strict):
    """The stages are a rising ladder, whose plateau is looked for; beyond it no further stage is played."""

    stop_at_plateau: bool = True


class CapacitySettings(_Strict):
    """The highest rate (requests/s, Poisson) at which the scenario's SLO holds is looked for by bisection.

    lowest, highest   the rates to search between
    step              two rates closer than this factor are taken for one
    probe_s           how long a rate is tried; up to longest_probe_s while its goodput is undecided
    confidence        of the interval of each rate's goodput
    requests          prompts on the tape, from which every probe takes
    """

    lowest: float = Field(gt=0, le=100_000)
    highest: float = Field(gt=0, le=100_000)
    step: float = Field(1.05, gt=1, le=4)
    probe_s: float = Field(10, gt=0, le=3600)
    longest_probe_s: float = Field(60, gt=0, le=3600)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    requests: int = Field(1000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _in_order(self) -> "CapacitySettings":
        if self.lowest >= self.highest:
            raise ValueError(f"searches from {self.lowest:g} up to {self.highest:g}; lowest must be below highest")
        if self.probe_s > self.longest_probe_s:
            raise ValueError(f"has probe_s {self.probe_s:g} above longest_probe_s {self.longest_probe_s:g}")
        return self


class Scenario(_Strict):
    """One load scenario in one profile.

    profile                       "custom": not from a scenarios file
    optional                      evaluations play it only where a setting names it
    input_tokens, output_tokens   length of each synthetic prompt and of the answer asked for: a number, or mean, std, min
                                  and max. With `data`, prompts are as long as they are, and output_tokens None asks for
                                  as many as the recorded answer has
    hyperparameters               further keys of each request's body, such as top_p
    ignore_eos                    the server generates output_tokens whatever the model says, so that releases do equal work
    stages                        the loads, in sequence; none only where `capacity` is searched
    warmup_requests               sent one after the other before the clock starts; in no figure
    abort_after_connect_errors    so many in a row end the run early
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)
    profile: ScenarioProfile
    title: str
    optional: bool = False
    api: Api = "completions"
    streaming: bool = True
    seed: int = Field(0, ge=0)
    input_tokens: Lengths | None = None
    output_tokens: Lengths | None = None
    shared_prefix: SharedPrefix | None = None
    data: Data | None = None
    hyperparameters: dict[str, JsonValue] = Field(default_factory=dict)
    ignore_eos: bool = True
    temperature: float = Field(0, ge=0, le=2)
    stages: tuple[Load, ...] = ()
    slo: Slo | None = None
    sweep: Sweep | None = None
    capacity: CapacitySettings | None = None
    warmup_requests: int = Field(2, ge=1, le=1000)
    abort_after_connect_errors: int = Field(10, ge=1)
    timeouts: Timeouts = Timeouts()
    trust: Trust = Trust()

    @model_validator(mode="after")
    def _is_whole(self) -> "Scenario":
        for sentence in (self._stages_wrong(), self._lengths_wrong(), self._keys_wrong(), self._ladder_wrong()):
            if sentence is not None:
                raise ValueError(sentence)
        return self

    def _stages_wrong(self) -> str | None:
        if not self.stages and self.capacity is None:
            return "has no stages and no capacity search, so nothing to play; give it stages"
        if self.capacity is not None and self.slo is None:
            return "searches a capacity without an slo, which says what the server is to hold; give it one"
        labels = [stage.label for stage in self.stages]
        if len(set(labels)) < len(labels):
            return f"has two stages of one name ({', '.join(labels)}); give them names"
        if self.data is None and any(isinstance(stage, Users) and not stage.runtime_s for stage in self.stages):
            return "has users with runtime_s 0, who stop when the data are used up, and no data; give runtime_s or data"
        return None

    def _lengths_wrong(self) -> str | None:
        if self.data is not None:
            if self.input_tokens is not None:
                return "has input_tokens beside data, whose prompts are as long as they are; leave one of them out"
            if self.shared_prefix is not None:
                return "has a shared_prefix beside data, which is for synthetic prompts; leave one of them out"
            return None
        if self.input_tokens is None:
            return "has neither input_tokens nor data; give the length of synthetic prompts, or a file of conversations"
        if self.output_tokens is None:
            return "has no output_tokens; give the length of the answers to synthetic prompts"
        if self.shared_prefix is not None and shortest(self.input_tokens) <= self.shared_prefix.tokens:
            return (
                f"has prompts of {shortest(self.input_tokens)} tokens that are to begin with a shared_prefix of "
                f"{self.shared_prefix.tokens}; make input_tokens larger than the prefix"
            )
        return None

    def _keys_wrong(self) -> str | None:
        for key in self.hyperparameters:
            if key in _OWN_KEYS:
                return f"has {key!r} among its hyperparameters, which {_OWN_KEYS[key]} decides; set that"
        return None

    def _ladder_wrong(self) -> str | None:
        if self.sweep is None:
            return None
        loads = [
            stage.streams if isinstance(stage, Concurrency) else stage.rate
            for stage in self.stages
            if isinstance(stage, Concurrency | Constant | Poisson | Gamma)
        ]
        if len({type(stage) for stage in self.stages}) > 1 or len(loads) < max(2, len(self.stages)):
            return "has a sweep whose stages are not two or more of one kind: concurrency, constant, poisson or gamma"
        if any(low >= high for low, high in pairwise(loads)):
            return f"has a sweep whose stages do not rise ({', '.join(f'{load:g}' for load in loads)}); sort them"
        return None

    @property
    def step(self) -> str:
        """The step of a run that measures this scenario; metric paths begin with it."""
        return f"load/{self.name}"

    def shaping(self) -> dict[str, Any]:
        """The settings that shape the numbers: two results are comparable only where these are equal.

        Where a file of conversations or a trace lies does not count; what it says is in the tape's hash.
        """
        told = self.model_dump(mode="json", exclude={"title", "optional", "trust", "abort_after_connect_errors"})
        for part in (told["data"] or {}, *told["stages"]):
            part.pop("path", None)
        return told


def scenario_names(path: Path) -> tuple[str, ...]:
    """The names of the scenarios in a file, in its order. Raises `ScenarioError`."""
    return tuple(_read(path))


def played(path: Path, chosen: tuple[str, ...] | None) -> tuple[str, ...]:
    """Which scenarios of a file an evaluation plays, in the file's order.

    chosen: by name; ("all",) for every one; None for all but the optional ones. Raises `ScenarioError`.
    """
    entries = _read(path)
    if chosen is None:
        return tuple(name for name, entry in entries.items() if not entry.get("optional", False))
    if chosen == ("all",):
        return tuple(entries)
    for name in chosen:
        if name not in entries:
            near = get_close_matches(name, entries, n=1, cutoff=0)
            raise ScenarioError(f"{path} has no scenario {name!r}; the nearest name there is {near[0]!r}.")
    return tuple(name for name in entries if name in chosen)


def load_scenarios(path: Path, profile: Profile) -> tuple[Scenario, ...]:
    """Every scenario of a file in one profile, in the file's order. Raises `ScenarioError`, one sentence.

    Paths of data and traces that are not absolute begin at the file's folder.
    """
    return tuple(_scenario(path, name, dict(entry), profile) for name, entry in _read(path).items())


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read ({error.strerror}); put a scenarios file there.") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "a character that YAML forbids"
        raise ScenarioError(f"{path} is not valid YAML{line} ({reason}); correct it.") from None
    scenarios = content.get("scenarios") if isinstance(content, dict) else None
    if not isinstance(scenarios, dict) or not scenarios:
        raise ScenarioError(f"{path}: key 'scenarios' must map names to scenarios; see the packaged scenarios.yaml.")
    for name, entry in scenarios.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("profiles"), dict):
            raise ScenarioError(f"{path}: scenarios.{name} must be a mapping with a mapping 'profiles'; add it.")
        if not isinstance(entry.get("optional", False), bool):
            raise ScenarioError(f"{path}: scenarios.{name}.optional must be true or false; correct it.")
    return {str(name): entry for name, entry in scenarios.items()}


def _scenario(path: Path, name: str, entry: dict[str, Any], profile: Profile) -> Scenario:
    profiles: Mapping[str, Any] = entry.pop("profiles")
    own = profiles.get(profile)
    if not isinstance(own, dict):
        known = ", ".join(sorted(map(str, profiles))) or "none"
        raise ScenarioError(f"{path}: scenarios.{name}.profiles.{profile} is missing (there: {known}); add it.")
    if "optional" in own:
        raise ScenarioError(f"{path}: scenarios.{name}.profiles.{profile}.optional holds in every profile; move it up.")
    try:
        scenario = Scenario.model_validate({**entry, **own, "name": name, "profile": profile})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        keys = [str(part) for part in first["loc"]]
        # pydantic names the chosen kind of a load and of a length; the file has no such level.
        if keys[:1] == ["stages"] and len(keys) > 2:
            del keys[2]
        if keys[:1] in (["input_tokens"], ["output_tokens"]) and len(keys) > 1:
            del keys[1]
        where = ".".join(["scenarios", name, *(["profiles", profile] if keys and keys[0] in own else []), *keys])
        if first["type"] == "value_error":
            raise ScenarioError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}.") from None
        raise ScenarioError(f"{path}: {where}: {first['msg'][0].lower()}{first['msg'][1:]}; correct it.") from None
    return _located(scenario, path.parent)


def _located(scenario: Scenario, folder: Path) -> Scenario:
    """The same scenario, with its files' paths from the folder of the scenarios file."""
    data = scenario.data
    if data is not None and data.path != SAMPLE:
        data = data.model_copy(update={"path": str(folder / data.path)})
    stages = tuple(
        stage.model_copy(update={"path": str(folder / stage.path)}) if isinstance(stage, Trace) else stage
        for stage in scenario.stages
    )
    return scenario.model_copy(update={"data": data, "stages": stages})


def with_conversations(scenario: Scenario, conversations: Path | None) -> Scenario:
    """The scenario with the operator's own conversations, if there are any, in place of the packaged sample."""
    if scenario.data is None or scenario.data.path != SAMPLE or conversations is None:
        return scenario
    data = scenario.data.model_copy(update={"path": str(conversations.absolute())})
    return scenario.model_copy(update={"data": data})

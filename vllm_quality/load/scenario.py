"""Load scenarios: what `configs/scenarios.yaml` may say, and how one profile of it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vllm_quality.load.errors import LoadError
from vllm_quality.load.schedule import Load
from vllm_quality.settings import Profile

Api = Literal["chat", "completions"]


class ScenarioError(LoadError):
    """A scenarios file cannot be used; the sentence names the file and the key."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class Scenario(_Strict):
    """One load scenario in one profile.

    input_tokens, output_tokens   length of each synthetic prompt and of the answer asked for
    ignore_eos                    the server generates output_tokens whatever the model says, so that releases do equal work
    warmup_requests               sent one after the other before the clock starts; in no figure
    abort_after_connect_errors    so many in a row end the run early
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)
    profile: Profile
    title: str
    api: Api = "completions"
    streaming: bool = True
    seed: int = Field(0, ge=0)
    input_tokens: int = Field(ge=1, le=1_000_000)
    output_tokens: int = Field(ge=1, le=1_000_000)
    ignore_eos: bool = True
    temperature: float = Field(0, ge=0, le=2)
    stages: tuple[Load, ...] = Field(min_length=1)
    warmup_requests: int = Field(2, ge=1, le=1000)
    abort_after_connect_errors: int = Field(10, ge=1)
    timeouts: Timeouts = Timeouts()
    trust: Trust = Trust()

    @model_validator(mode="after")
    def _stages_differ(self) -> "Scenario":
        labels = [stage.label for stage in self.stages]
        if len(set(labels)) < len(labels):
            raise ValueError(f"has two stages of one name ({', '.join(labels)}); give them names")
        return self

    @property
    def step(self) -> str:
        """The step of a run that measures this scenario; metric paths begin with it."""
        return f"load/{self.name}"

    def shaping(self) -> dict[str, Any]:
        """The settings that shape the numbers: two results are comparable only where these are equal."""
        return self.model_dump(mode="json", exclude={"title", "trust", "abort_after_connect_errors"})


def scenario_names(path: Path) -> tuple[str, ...]:
    """The names of the scenarios in a file, in its order. Raises `ScenarioError`."""
    return tuple(_read(path))


def load_scenarios(path: Path, profile: Profile) -> tuple[Scenario, ...]:
    """Every scenario of a file in one profile, in the file's order. Raises `ScenarioError`, one sentence."""
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
    return {str(name): entry for name, entry in scenarios.items()}


def _scenario(path: Path, name: str, entry: dict[str, Any], profile: Profile) -> Scenario:
    profiles: Mapping[str, Any] = entry.pop("profiles")
    own = profiles.get(profile)
    if not isinstance(own, dict):
        known = ", ".join(sorted(map(str, profiles))) or "none"
        raise ScenarioError(f"{path}: scenarios.{name}.profiles.{profile} is missing (there: {known}); add it.")
    try:
        return Scenario.model_validate({**entry, **own, "name": name, "profile": profile})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        keys = [str(part) for part in first["loc"]]
        # pydantic names the chosen kind of load between a stage's number and its key; the file has no such level.
        if keys[:1] == ["stages"] and len(keys) > 2:
            del keys[2]
        where = ["scenarios", name, *(["profiles", profile] if keys and keys[0] in own else []), *keys]
        reason = first["msg"].removeprefix("Value error, ")
        raise ScenarioError(f"{path}: {'.'.join(where)}: {reason[0].lower()}{reason[1:]}; correct it.") from None

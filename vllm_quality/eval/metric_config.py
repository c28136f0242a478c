"""`configs/deepeval.json`: which of deepeval's metrics measure the answers, with which parameters, beside those of the folders."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vllm_quality.eval.metric_registry import MetricClass, MetricRegistryError, snake_case, takes_judge
from vllm_quality.eval.result import hash_of, in_short
from vllm_quality.eval.suites import safe_name

# What a text answer to a question does not come with, or what would ask another service than the judge.
_NEED = {
    "tools_called": "the calls of an agent's tools",
    "expected_tools": "the calls of an agent's tools",
    "mcp_servers": "MCP servers",
}
_MODULES = {
    "multimodal_metrics": "images",
    "voice": "audio",
    "audio_glitch": "audio",
    "transcription_accuracy": "audio",
    "jev_eval": "Confident AI's own judge",
    "conversational_jev_eval": "Confident AI's own judge",
    "agent_loop_detection": "an agent's trace",
    "task_completion": "an agent's trace",
    "step_efficiency": "an agent's trace",
    "plan_quality": "an agent's trace",
    "plan_adherence": "an agent's trace",
    "mcp": "MCP servers",
    "tool_use": "the calls of an agent's tools",
    "dag": "Python objects",
    "conversational_dag": "Python objects",
    "json_correctness": "a Python class (AnswerFormat checks an item's json_schema)",
}
_OURS = {
    "model",
    "async_mode",
    "eval_mode",
    "system_one_model",
    "evaluation_template",
    "template_class",
    "verbose_mode",
}
_ALWAYS = ("input", "actual_output", "role", "content", "metadata")
_GEVALS = ("GEval", "ConversationalGEval")


class MetricEntry(BaseModel):
    """One entry of `metrics`.

    metric               class of deepeval, of the packaged folder or of METRICS_DIR
    name                 what its scores are called; the class's name in snake_case where left out
    params               constructor's arguments
    threshold            an answer passes from here on
    datasets, languages  what it is for: shell-style patterns of data sets' names; language codes
    enabled              false takes a metric of the folders out
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(min_length=1)
    name: str | None = Field(None, min_length=1)
    params: dict[str, Any] = {}
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    datasets: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    enabled: bool = True


class MetricsFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: tuple[MetricEntry, ...] = ()


def load_metrics_file(path: Path) -> MetricsFile:
    """Read the configuration. Raises `MetricRegistryError`, one sentence that names the file and the entry."""
    try:
        return MetricsFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise MetricRegistryError(f"{path} cannot be read ({error.strerror}); check the file.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
        raise MetricRegistryError(
            f"{path}: {where or 'the file'} cannot be used: {first['msg'][0].lower()}{first['msg'][1:]}."
        ) from None
    except ValueError as error:
        raise MetricRegistryError(f"{path} is not JSON ({in_short(error)}); correct it.") from None


def configure_metrics(found: Sequence[MetricClass], path: Path) -> list[MetricClass]:
    """The metrics of the folders, changed and added to as the file says, by name. Raises `MetricRegistryError`.

    An entry without a name of its own that names a class of the folders takes that metric's place.
    """
    ours = {metric.cls.__name__: metric for metric in found}
    metrics = {metric.name: metric for metric in found}
    configured: set[str] = set()
    for index, entry in enumerate(load_metrics_file(path).metrics):
        place = f"{path}: metrics[{index}] ({entry.metric})"
        base = ours.get(entry.metric) or _deepevals(entry.metric, list(ours), path, place)
        name = safe_name(entry.name or _own_name(entry) or base.name).lower()
        replaces = entry.metric in ours and name == base.name
        if name in configured or (name in metrics and not replaces):
            raise MetricRegistryError(f"{place} has the name {name!r}, which is taken; give it a `name` of its own.")
        configured.add(name)
        metrics.pop(name, None)
        if entry.enabled:
            metrics[name] = _configured(base, entry, name, place)
    return [metrics[name] for name in sorted(metrics)]


def _own_name(entry: MetricEntry) -> str | None:
    named = entry.params.get("name") if entry.metric in _GEVALS else None
    return named if isinstance(named, str) and named.strip() else None


def _deepevals(wanted: str, ours: Sequence[str], path: Path, place: str) -> MetricClass:
    import deepeval.metrics
    from deepeval.metrics import BaseConversationalMetric, BaseMetric

    classes = {
        name: found
        for name in deepeval.metrics.__all__
        if inspect.isclass(found := getattr(deepeval.metrics, name))
        and issubclass(found, BaseMetric | BaseConversationalMetric)
        and found not in (BaseMetric, BaseConversationalMetric)
    }
    cls = classes.get(wanted)
    if cls is None:
        names = {name.lower(): name for name in (*classes, *ours)}
        near = get_close_matches(wanted.lower(), names, n=5, cutoff=0.5)
        like = f"; the nearest are {', '.join(names[name] for name in near)}" if near else ""
        raise MetricRegistryError(f"{place}: there is no such metric{like}.")
    required = _fields_of(cls)
    module = cls.__module__.split(".")[2]
    lacks = _MODULES.get(module) or next((_NEED[name] for name in required if name in _NEED), None)
    if lacks is not None:
        raise MetricRegistryError(f"{place} cannot measure a text answered over chat: it needs {lacks}; take it out.")
    return MetricClass(
        snake_case(wanted),
        cls,
        path,
        takes_judge(cls),
        "",
        required=required,
        conversational=issubclass(cls, BaseConversationalMetric),
    )


def _fields_of(cls: type[Any]) -> tuple[str, ...]:
    """The fields of a test case that the class asks for, beyond those that each has."""
    names = getattr(cls, "_required_params", None) or getattr(cls, "_required_test_case_params", ())
    role = ("chatbot_role",) if getattr(cls, "_requires_chatbot_role", False) else ()
    return (*(str(param.value) for param in _listed(names) if param.value not in _ALWAYS), *role)


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()  # the base class has a type in its place


def _configured(base: MetricClass, entry: MetricEntry, name: str, place: str) -> MetricClass:
    arguments, required = dict(entry.params), base.required
    taken = inspect.signature(base.cls.__init__).parameters
    for key in arguments:
        if key in _OURS:
            raise MetricRegistryError(f"{place}: {key!r} is not set here: the judge is the one of the settings.")
        if key not in taken and not any(one.kind is one.VAR_KEYWORD for one in taken.values()):
            known = ", ".join(sorted(set(taken) - {"self", *_OURS}))
            raise MetricRegistryError(f"{place} has no parameter {key!r}; it takes {known}.")
    if base.cls.__name__ in _GEVALS:
        arguments = _geval_arguments(base.cls.__name__, arguments, name, place)
        chosen = [str(param.value) for param in arguments["evaluation_params"]]
        required = tuple(param for param in chosen if param not in _ALWAYS)
    fingerprint = hash_of([base.fingerprint, base.cls.__name__, entry.params, entry.threshold])
    return replace(
        base,
        name=name,
        arguments=arguments,
        required=required,
        threshold=entry.threshold,
        datasets=entry.datasets,
        languages=entry.languages,
        fingerprint=fingerprint,
    )


def _geval_arguments(kind: str, params: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    from deepeval.metrics.g_eval import Rubric
    from deepeval.test_case import MultiTurnParams, SingleTurnParams

    steps = params.get("evaluation_steps")
    if not isinstance(steps, list) or not steps or not all(isinstance(step, str) and step.strip() for step in steps):
        alone = " With `criteria` alone the judge would write them anew in every run." if "criteria" in params else ""
        raise MetricRegistryError(f"{place} needs `evaluation_steps`, a list of texts.{alone}")
    fields = MultiTurnParams if kind == "ConversationalGEval" else SingleTurnParams
    default = ["role", "content"] if kind == "ConversationalGEval" else ["input", "actual_output"]
    known = {str(param.value): param for param in fields if param.value not in _NEED}
    wanted = params.get("evaluation_params") or default
    unknown = [param for param in _listed(wanted) if param not in known]
    if unknown or not isinstance(wanted, list):
        raise MetricRegistryError(
            f"{place}: evaluation_params has {(unknown or [wanted])[0]!r}; it is a list of {', '.join(known)}."
        )
    try:
        rubric = [Rubric(**part) for part in params.get("rubric") or ()]
    except (TypeError, ValueError):
        raise MetricRegistryError(
            f'{place}: rubric is a list of objects such as {{"score_range": [0, 4], "expected_outcome": "…"}}, from 0 to 10.'
        ) from None
    made = {"name": name, "evaluation_params": [known[param] for param in wanted], "rubric": rubric or None}
    return {**params, **made}

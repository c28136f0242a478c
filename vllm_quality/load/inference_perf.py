"""An inference-perf configuration, as the EKS documents show it, played by this engine.

Which keys are taken, do nothing or are refused is in `inference_perf_keys`. What comes out differently from inference-perf
although its key was taken is said in `InferencePerfRun.notices`.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from vllm_quality.load.errors import LoadError
from vllm_quality.load.inference_perf_keys import misplaced, sort_keys
from vllm_quality.load.inference_perf_scenario import scenario_of
from vllm_quality.load.inference_perf_schema import Keys, StorageKeys
from vllm_quality.load.scenario import Scenario
from vllm_quality.settings import load_settings


@dataclass(frozen=True)
class Destination:
    """Where the reports are to go.

    url           file:///absolute/folder or s3://bucket[/prefix]
    endpoint_url  the S3 server, where it is not AWS
    """

    url: str
    endpoint_url: str | None = None


@dataclass(frozen=True)
class InferencePerfRun:
    """What a configuration asks for.

    model         None: the server's only one
    tokenizer     a folder to count with; None: the server is asked
    destinations  those that the configuration names
    notices       what comes out differently from inference-perf, a sentence each
    ignored       keys that do nothing here, with the reason, a sentence each
    """

    scenario: Scenario
    base_url: str
    model: str | None
    api_key: str | None = field(repr=False)
    workers: int
    tokenizer: Path | None
    destinations: tuple[Destination, ...]
    notices: tuple[str, ...]
    ignored: tuple[str, ...]


def read_inference_perf(path: Path, conversations: Path | None = None) -> InferencePerfRun:
    """The run that a config.yml of inference-perf describes. Nothing in it is expanded but {timestamp} in storage paths.

    conversations  played for a `shareGPT` without a path; None: what VLLM_QUALITY_CONVERSATIONS names, or the sample

    Raises `LoadError` that names the file and every key that cannot be used, with what to do instead.
    """
    found = sort_keys(_read(path))
    wrong = found.wrong | misplaced(found.taken)
    try:
        keys = Keys.model_validate(found.taken)
    except ValidationError as error:
        _refuse(path, _wrong_values(error) | wrong)
    if wrong:
        _refuse(path, wrong)
    notices: list[str] = []
    try:
        scenario = scenario_of(keys, path.name, conversations or load_settings().conversations, notices)
    except ValidationError as error:
        _refuse(path, _wrong_values(error))
    return InferencePerfRun(
        scenario=scenario,
        base_url=keys.server.base_url,
        model=keys.server.model_name,
        api_key=keys.server.api_key,
        workers=_workers(keys.load.num_workers, notices),
        tokenizer=_tokenizer(keys.tokenizer.pretrained_model_name_or_path, notices),
        destinations=tuple(_destinations(keys.storage)),
        notices=tuple(notices),
        ignored=tuple(found.ignored),
    )


def _read(path: Path) -> Mapping[Any, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadError(f"{path} cannot be read ({error.strerror}); check its name.") from None
    except UnicodeDecodeError:
        raise LoadError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "a value that YAML does not have"
        raise LoadError(f"{path} is not valid YAML{line} ({reason}); correct it.") from None
    if not isinstance(content, Mapping):
        raise LoadError(f"{path} holds no configuration of inference-perf, which has keys such as load and server.")
    return content


def _wrong_values(error: ValidationError) -> dict[str, str]:
    """Key -> reason; what the value was is not said, since it may be a secret."""
    wrong: dict[str, str] = {}
    for one in error.errors(include_url=False, include_input=False):
        place = ""
        for part in one["loc"]:
            if isinstance(part, int):
                place += f"[{part}]"
            # Pydantic names the chosen form of a value that has several; the file has no such level.
            elif part not in ("number", "distribution", "spread"):
                place += f".{part}" if place else str(part)
        reason = one["msg"].removeprefix("Value error, ")
        wrong[place] = "is missing" if one["type"] == "missing" else f"{reason[0].lower()}{reason[1:]}"
    return wrong


def _refuse(path: Path, wrong: Mapping[str, str]) -> NoReturn:
    reasons = "; ".join(f"{place or 'it'} {why}" for place, why in wrong.items())
    raise LoadError(f"{path} cannot be played as it is: {reasons}; correct it.") from None


def _workers(wanted: int, notices: list[str]) -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if wanted > available:
        notices.append(
            f"load.num_workers is {wanted} and there are {available} CPUs: {available} workers are used, since more would "
            "take each other's time."
        )
    return min(wanted, available)


def _tokenizer(named: str | None, notices: list[str]) -> Path | None:
    if named is None:
        return None
    if Path(named).is_dir():
        return Path(named)
    notices.append(
        f"tokenizer.pretrained_model_name_or_path is {named!r}, no folder here: the server's /tokenize counts in its place."
    )
    return None


def _destinations(storage: StorageKeys) -> Iterator[Destination]:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")

    def place(path: str | None) -> str:
        return (path or f"reports-{stamp}").replace("{timestamp}", stamp)

    if storage.local_storage is not None:
        yield Destination(f"file://{Path(place(storage.local_storage.path)).absolute()}")
    if (bucket := storage.simple_storage_service) is not None:
        yield Destination(f"s3://{bucket.bucket_name}/{place(bucket.path).strip('/')}", bucket.endpoint_url)

"""Every setting, typed, with its default and its environment variable (`VLLM_QUALITY_` + the field's name in capitals)."""

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from vllm_quality.errors import UserError

PREFIX = "VLLM_QUALITY_"

Profile = Literal["smoke", "standard", "full"]


class SettingsError(UserError):
    """An environment variable has a value that cannot be used."""


def _default_home() -> Path:
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data_home) / "vllm_quality"


class Settings(BaseSettings):
    """What an operator can set. Secrets are `SecretStr`: they show as asterisks in logs, errors and reprs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )

    home: Path = Field(default_factory=_default_home, description="folder of everything kept on this machine")
    results_url: SecretStr | None = Field(
        None, description="chdb:///folder or https://user:password@host:8443/database"
    )
    objects_url: str | None = Field(None, description="file:///folder or s3://bucket[/prefix]")
    s3_endpoint: str | None = Field(None, description="S3 server, where it is not AWS")

    image: str | None = Field(None, description="watched repository, such as ghcr.io/OWNER/NAME")
    tag_pattern: str = Field("release-.+", description="regular expression that a whole tag must match")
    on_retag: Literal["evaluate", "ignore", "alert"] = Field(
        "evaluate", description="when a known tag's digest changes"
    )
    first_releases: int = Field(3, ge=0, description="newest tags evaluated when the registry is first seen")
    poll_seconds: int = Field(60, ge=5, description="pause between two looks at the registry")
    registry_user: str | None = Field(None, description="user name for the registry")
    registry_token: SecretStr | None = Field(None, description="password or personal access token for the registry")
    registry_plain_http: bool = Field(False, description="speak http to the registry (a test registry on loopback)")

    base_url: str | None = Field(
        None, description="endpoint, such as http://vllm-{tag}.serving:8000; {tag} is filled in"
    )
    model: str | None = Field(None, description="model name to ask the endpoint for; its only model when empty")
    api_key: SecretStr | None = Field(None, description="bearer token of the endpoint")
    rollout_wait_s: float = Field(900, ge=0, le=7200, description="seconds a pushed release may take until it answers")
    hardware: str = Field("unknown", description="what the endpoint runs on; speed is compared only where it is equal")
    profile: Profile = Field("standard", description="how much is measured: smoke, standard or full")
    scenarios: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="load scenarios to play, such as 'baseline, capacity', or 'all'; all but the optional ones when empty",
    )
    conversations: Path | None = Field(
        None, description="file of real conversations, which the scenarios with data 'sample' play instead of ours"
    )
    load_workers: int = Field(1, ge=1, le=256, description="processes that share the load of a scenario")

    judge_url: str | None = Field(None, description="OpenAI-compatible endpoint of the judge, with /v1")
    judge_model: str | None = Field(None, description="model name of the judge")
    judge_api_key: SecretStr | None = Field(None, description="bearer token of the judge")
    embedding_model: str | None = Field(None, description="model of /embeddings at the judge's endpoint, for cosine")
    evals: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None, description="evals to run, such as 'triage, tone', or 'all'; all but the optional ones when empty"
    )

    teams_webhook: SecretStr | None = Field(
        None, description="Teams Workflows webhook; cards go to the outbox when empty"
    )
    teams_mentions: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (), description="who is called when something is wrong: 'Name <user@example.com>, ...'"
    )
    dagster_url: str = Field("http://127.0.0.1:3000", description="where Dagster's UI answers; used in links")

    config_dir: Path | None = Field(
        None, description="folder whose evalchemy.json, deepeval.json, scenarios.yaml, thresholds.yaml and evals/ win"
    )
    datasets_dir: Path | None = Field(None, description="folder of further data sets")
    pii_key: SecretStr | None = Field(
        None,
        description="key of the pseudonyms that replace personal data, 16 characters at least; redacted when empty",
    )
    metrics_dir: Path | None = Field(None, description="folder of further deepeval metrics")

    queries_url: str | None = Field(
        None,
        description="the service's queries: logs such as s3://bucket/{year}/{month}/{day}/ or file:///logs/{day}, or an "
        "OpenAI server that stores completions, with /v1",
    )
    queries_api_key: SecretStr | None = Field(None, description="bearer token of the server that stores completions")
    queries_metadata: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (), description="metadata that a query must have: 'key=value, ...'"
    )
    queries_sample: int = Field(1000, ge=1, le=100_000, description="queries drawn from a day")
    queries_stratify: str | None = Field(None, description="metadata key whose values keep their shares in the sample")
    queries_seed: int = Field(1, ge=0, description="seed of the sample")
    queries_index: SecretStr | None = Field(
        None,
        description="Redis in which machines share the signatures of earlier days' queries, such as "
        "redis://user:password@host:6379/0?basename=vllm_quality; each machine has its own when empty",
    )
    regression_max_age_days: int = Field(30, ge=1, description="days after which a regression set is too old")
    drift_limit: float = Field(
        0.25, gt=0, description="PSI above which the service's queries have drifted from the regression sets"
    )

    executor: Literal["in_process", "multiprocess", "k8s"] = Field(
        "in_process", description="where a run's steps execute"
    )
    eval_concurrency: int = Field(8, ge=1, le=1024, description="requests in flight while quality is evaluated")
    benchmarks: Literal["hub", "mirror"] = Field(
        "hub",
        description="where benchmark data come from: the Hugging Face hub, or only the mirror in the object store",
    )
    evalchemy_dir: Path | None = Field(None, description="checkout of Evalchemy, for suites that it runs itself")
    evalchemy_python: Path | None = Field(None, description="its Python; .venv/bin/python of the checkout when empty")
    eval_parallel_suites: int = Field(2, ge=1, le=64, description="evaluation suites side by side (multiprocess, k8s)")
    request_timeout_s: float = Field(120.0, gt=0, le=3600, description="seconds one request to an endpoint may take")
    step_image: str | None = Field(None, description="image of the step pods; the code server's own when empty (k8s)")
    demo_model: str | None = Field(None, description="file or URL of the demo's model, instead of the package index")

    @field_validator("tag_pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from None
        return value

    @field_validator("base_url", "judge_url", "s3_endpoint", "dagster_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value.replace("{tag}", "tag"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        if parts.username or parts.password:
            raise ValueError("must not hold a user or password; use the matching key setting")
        return value.rstrip("/")

    @field_validator("results_url", "teams_webhook")
    @classmethod
    def _is_secret_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in ("http", "https", "chdb"):
            raise ValueError("must begin with https://, http:// or (results only) chdb://")
        return value

    @field_validator("pii_key")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("must have 16 characters at least, such as `openssl rand -hex 32` prints")
        return value

    @field_validator("objects_url")
    @classmethod
    def _is_objects_url(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in ("file", "s3"):
            raise ValueError("must begin with file:// or s3://")
        return value

    @field_validator("queries_url")
    @classmethod
    def _is_queries_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("file", "s3", "http", "https"):
            raise ValueError("must begin with file://, s3://, https:// or http://")
        if "@" in parts.netloc:
            raise ValueError(f"must not hold a user or password; use {PREFIX}QUERIES_API_KEY or the AWS_ variables")
        if parts.query or parts.fragment:
            raise ValueError("must be an address without ? and #")
        if (parts.scheme == "file") != (not parts.netloc):
            raise ValueError("must name a folder (file:///logs), a bucket (s3://bucket) or a host (https://host/v1)")
        return value

    @field_validator("queries_index")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        # Of the parts only the user and the password may be anything; an address without a host or a number would mean localhost.
        form = r"rediss?://([^@/?#]*@)?[\w.-]+(:\d{1,5})?(/\d*)?(\?basename=\w[\w.-]*)?"
        if value is not None and not re.fullmatch(form, value.get_secret_value(), re.ASCII):
            raise ValueError(
                "must be of the form redis://host:6379/0?basename=vllm_quality (rediss:// with TLS); a password may not hold / ? # @"
                " but as %2F and so on"
            )
        return value

    @field_validator("queries_metadata", mode="before")
    @classmethod
    def _parse_metadata(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = []
        for entry in filter(None, (part.strip() for part in value.split(","))):
            key, equals, wanted = (part.strip() for part in entry.partition("="))
            if not key or not equals:
                raise ValueError(f"has {entry!r}, which is not of the form key=value")
            pairs.append((key, wanted))
        return tuple(pairs)

    @field_validator("teams_mentions", mode="before")
    @classmethod
    def _parse_mentions(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        people = []
        for entry in filter(None, (part.strip() for part in value.split(","))):
            match = re.fullmatch(r"(?P<name>[^<>]+?)\s*<(?P<id>[^<>\s]+)>", entry)
            if match is None:
                raise ValueError(f"has {entry!r}, which is not of the form 'Name <user@example.com>'")
            people.append((match["name"], match["id"]))
        return tuple(people)

    @field_validator("scenarios", "evals", mode="before")
    @classmethod
    def _parse_names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name for name in (part.strip() for part in value.split(",")) if name) or None

    @property
    def results(self) -> str:
        """Where result rows go, with its password: never to be printed."""
        return self.results_url.get_secret_value() if self.results_url else f"chdb://{self.home.absolute()}/results"

    @property
    def objects(self) -> str:
        """Where files go."""
        return self.objects_url or f"file://{self.home.absolute()}/objects"

    @property
    def endpoint_key(self) -> str | None:
        """The endpoint's bearer token: never to be printed."""
        return self.api_key.get_secret_value() if self.api_key else None

    def config_file(self, name: str) -> Path:
        """The configuration file of that name: the operator's if there is one, else the packaged default."""
        if self.config_dir is not None:
            if not self.config_dir.is_dir():
                raise SettingsError(
                    f"{PREFIX}CONFIG_DIR is {str(self.config_dir)!r}, which is not a folder; create it or unset it."
                )
            if (self.config_dir / name).is_file():
                return self.config_dir / name
        return Path(str(files("vllm_quality"))) / "configs" / name


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment. Raises `SettingsError`, one sentence, when a variable cannot be used."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error":
            reason = f"cannot be used: {reason[0].lower()}{reason[1:]}"
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsError(f"{name} {reason}; correct or unset it.") from None

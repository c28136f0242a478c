"""The keys of an inference-perf configuration that are taken, with their types and defaults as inference-perf has them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)

from vllm_quality.load.data.lengths import MAX_TOKENS
from vllm_quality.load.schedule import MAX_REQUESTS, Rate, Seconds

PERCENTILES = (0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)


def _written(percentile: float) -> float:
    if percentile not in PERCENTILES:
        raise ValueError(f"is not among those that are written: {', '.join(f'{known:g}' for known in PERCENTILES)}")
    return percentile


def _not(hints: Mapping[str, str]) -> BeforeValidator:
    def refuse(value: object) -> object:
        if isinstance(value, str) and value in hints:
            raise ValueError(f"{value} cannot be had here ({hints[value]})")
        return value

    return BeforeValidator(refuse)


_FILE = "download it, and use data.type shareGPT with data.path naming the file"
_SHAPE = "use normal with mean, std_dev, min and max, or fixed"
_NO_API = "use completion or chat"
_NO_SESSIONS = "use constant, poisson, concurrent or trace_replay"
Api = Annotated[Literal["completion", "chat"], _not({"anthropic_messages": _NO_API})]
Server = Annotated[Literal["vllm", "sglang", "tgi"], _not({"mock": "name the server that is to be measured"})]
LoadType = Annotated[
    Literal["constant", "poisson", "concurrent", "trace_replay"], _not({"trace_session_replay": _NO_SESSIONS})
]
Shape = Annotated[
    Literal["normal", "fixed"], _not(dict.fromkeys(("uniform", "lognormal", "skew_normal", "poisson"), _SHAPE))
]
DataType = Annotated[
    Literal["shareGPT", "synthetic", "random", "shared_prefix"],
    _not(
        {
            "mock": "use shareGPT, synthetic, random or shared_prefix",
            **dict.fromkeys(("cnn_dailymail", "infinity_instruct", "billsum_conversations"), _FILE),
            **dict.fromkeys(("otel_trace_replay", "weka_trace_replay", "conversation_replay"), _FILE),
            "visionarena": "only text is sent",
        }
    ),
]


Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]


class _Keys(BaseModel):
    # What a value was is never repeated: it may be a secret.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class ResponseFormat(_Keys):
    type: Literal["json_schema", "json_object"] = "json_schema"
    name: str = "structured_output"
    json_schema: dict[str, JsonValue] = Field(default_factory=dict)


class ApiKeys(_Keys):
    type: Api = "completion"
    streaming: bool = False
    response_format: ResponseFormat | None = None


class Distribution(_Keys):
    type: Shape = "normal"
    mean: float = Field(512, ge=1, le=MAX_TOKENS)
    std_dev: float | None = Field(None, ge=0, le=MAX_TOKENS)
    variance: float | None = Field(None, ge=0, le=MAX_TOKENS)
    min: int = Field(10, ge=1, le=MAX_TOKENS)
    max: int = Field(1024, ge=1, le=MAX_TOKENS)
    skew: float = 0  # of skew_normal alone

    @model_validator(mode="after")
    def _can_be_drawn(self) -> "Distribution":
        if self.type == "normal" and not self.min <= self.mean <= self.max:
            raise ValueError(f"has a mean of {self.mean:g} that is not between min {self.min} and max {self.max}")
        if self.variance and self.std_dev:
            raise ValueError("has both std_dev and variance (leave one out)")
        return self


def _kind(value: object) -> str:
    return "distribution" if isinstance(value, dict | Distribution) else "number"


# Told apart before they are read, so that a mistake in a distribution is not reported as "not a number".
Length = Annotated[
    Annotated[Tokens, Tag("number")] | Annotated[Distribution, Tag("distribution")], Discriminator(_kind)
]


class SharedPrefix(_Keys):
    num_groups: int | None = Field(None, ge=1, le=100_000)
    num_unique_system_prompts: int | None = Field(None, ge=1, le=100_000)
    system_prompt_len: Tokens = 100
    question_len: Length = 50
    output_len: Length = 50
    question_distribution: Distribution | None = None
    output_distribution: Distribution | None = None
    seed: int | None = Field(None, ge=0)


class TraceKeys(_Keys):
    file: str = Field(min_length=1)
    format: Literal["AzurePublicDataset"] = "AzurePublicDataset"


class DataKeys(_Keys):
    type: DataType
    path: str | None = Field(None, min_length=1)
    input_distribution: Distribution | None = None
    output_distribution: Distribution | None = None
    shared_prefix: SharedPrefix | None = None
    trace: TraceKeys | None = None


class Stage(_Keys):
    rate: Rate | None = None
    duration: Seconds | None = None
    num_requests: int | None = Field(None, ge=1, le=MAX_REQUESTS)
    concurrency_level: int | None = Field(None, ge=1, le=65_536)


class SweepKeys(_Keys):
    type: Literal["geometric", "linear"]
    num_stages: int = Field(5, ge=2, le=50)
    stage_duration: Seconds = 180


class LoadKeys(_Keys):
    type: LoadType = "constant"
    stages: tuple[Stage, ...] = ()
    sweep: SweepKeys | None = None
    num_workers: int = Field(1, ge=1)
    trace: TraceKeys | None = None
    request_timeout: Seconds | None = None
    base_seed: int | None = Field(None, ge=0)


class ServerKeys(_Keys):
    type: Server = "vllm"
    model_name: str | None = None
    base_url: str
    ignore_eos: bool = True
    api_key: str | None = Field(None, repr=False)


class TokenizerKeys(_Keys):
    pretrained_model_name_or_path: str | None = None


class Constraints(_Keys):
    ttft: float | None = Field(None, gt=0)
    tpot: float | None = Field(None, gt=0)
    itl: float | None = Field(None, gt=0)
    request_latency: float | None = Field(None, gt=0)


class Goodput(_Keys):
    constraints: Constraints = Constraints()


class RequestLifecycle(_Keys):
    percentiles: tuple[Annotated[float, AfterValidator(_written)], ...] = ()


class ReportKeys(_Keys):
    request_lifecycle: RequestLifecycle = RequestLifecycle()
    goodput: Goodput = Goodput()


class Storage(_Keys):
    path: str | None = None


class S3(Storage):
    bucket_name: str = Field(min_length=1)
    endpoint_url: str | None = None


class StorageKeys(_Keys):
    local_storage: Storage | None = None
    simple_storage_service: S3 | None = None


class Keys(_Keys):
    """What is left of a configuration when ignored and refused keys are taken out."""

    api: ApiKeys = ApiKeys()
    data: DataKeys
    load: LoadKeys = LoadKeys()
    report: ReportKeys = ReportKeys()
    storage: StorageKeys = StorageKeys()
    server: ServerKeys
    tokenizer: TokenizerKeys = TokenizerKeys()

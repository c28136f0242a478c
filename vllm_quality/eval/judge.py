"""The judge: an OpenAI-compatible model that grades answers, held to a JSON schema, and never guessed for when it fails."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import SEED
from vllm_quality.eval.client import ModelClient, RequestFailedError, RetryPolicy
from vllm_quality.eval.suites import load_suites_file
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.settings import PREFIX, Settings

_ATTEMPTS = 3  # for one judgement whose JSON is broken
_MAX_TOKENS = 2048

Schema = TypeVar("Schema", bound=BaseModel)


class JudgeSettingsError(UserError):
    """The judge is set up by halves."""


class JudgeError(Exception):
    """A judgement that could not be had: the item has no score."""


@dataclass(frozen=True)
class JudgeSettings:
    """Which judge, and where. `url` ends where `/chat/completions` begins."""

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)

    def client(self, *, concurrency: int, timeout_s: float, retry: RetryPolicy) -> ModelClient:
        """A client for the judge, to be used as a context manager."""
        return ModelClient(
            self.url,
            self.api_key,
            concurrency=concurrency,
            timeout_s=timeout_s,
            retry=retry,
            key_setting=f"{PREFIX}JUDGE_API_KEY",
        )


def judge_settings(settings: Settings) -> JudgeSettings | None:
    """The configured judge; its model may be named by `annotator_model` in evalchemy.json. None without a judge's URL."""
    if settings.judge_url is None:
        return None
    model = settings.judge_model or load_suites_file(settings.config_file("evalchemy.json")).annotator_model
    if model is None:
        raise JudgeSettingsError(
            f"{PREFIX}JUDGE_URL is set but no judge's model; set {PREFIX}JUDGE_MODEL, or annotator_model in evalchemy.json."
        )
    return JudgeSettings(
        settings.judge_url, model, settings.judge_api_key.get_secret_value() if settings.judge_api_key else None
    )


class Judge:
    """Asks the judge at temperature 0 with a fixed seed, for JSON of a schema where the caller has one."""

    def __init__(self, client: ModelClient, model: str) -> None:
        self.model = model
        self._client = client
        self._structured = True

    async def check_ready(self) -> None:
        """Send one tiny request. Raises `EndpointError` rather than let every judgement fail alike."""
        try:
            await self._ask("Say yes.", None, SEED)
        except RequestFailedError as error:
            raise EndpointError(
                f"The judge {self.model!r} at {self._client.base_url} does not answer ({error}); correct {PREFIX}JUDGE_URL or "
                "its server, or unset it to go without judged metrics."
            ) from None

    async def text(self, prompt: str) -> str:
        """The judge's free answer. Raises `JudgeError`."""
        try:
            return await self._ask(prompt, None, SEED)
        except RequestFailedError as error:
            raise JudgeError(f"the judge did not answer: {error}") from None

    async def structured(self, prompt: str, schema: type[Schema]) -> Schema:
        """The judge's answer as an instance of `schema`. Broken JSON is asked for again, with another seed.

        Raises `JudgeError` when no attempt brings what the schema wants.
        """
        said = ""
        for attempt in range(_ATTEMPTS):
            try:
                said = await self._ask_structured(prompt, schema, SEED + attempt)
                return schema.model_validate_json(_object_in(said))
            except RequestFailedError as error:
                raise JudgeError(f"the judge did not answer: {error}") from None
            except ValidationError:
                continue
        raise JudgeError(f"the judge's answer is not the JSON that was asked for: {said[:100]!r}")

    async def _ask_structured(self, prompt: str, schema: type[BaseModel], seed: int) -> str:
        if not self._structured:
            return await self._ask(prompt, None, seed)
        try:
            return await self._ask(prompt, schema, seed)
        except RequestFailedError as error:
            if not error.refused:
                raise
        # Refused: either this server knows no schemas, or it does not like this prompt, and then this fails as well.
        said = await self._ask(prompt, None, seed)
        self._structured = False
        return said

    async def _ask(self, prompt: str, schema: type[BaseModel] | None, seed: int) -> str:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "seed": seed,
            "max_tokens": _MAX_TOKENS,
        }
        if schema is not None:
            described = {"name": schema.__name__, "schema": strict(schema.model_json_schema()), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        return await self._client.post(
            "/chat/completions", body, lambda answer: str(answer["choices"][0]["message"]["content"] or "")
        )


def strict(schema: Any) -> Any:
    """A JSON schema as OpenAI's strict mode wants it: every property required, no others allowed."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    copied = {name: strict(part) for name, part in schema.items()}
    if isinstance(copied.get("properties"), dict):
        copied |= {"required": list(copied["properties"]), "additionalProperties": False}
    return copied


def _object_in(text: str) -> str:
    """The JSON object in a text that may surround it with words or a code fence."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def make_deepeval_judge(judge: Judge) -> Any:
    """The judge in the form that deepeval's metrics take. Call it inside the running loop."""
    from deepeval.models import DeepEvalBaseLLM

    loop = asyncio.get_running_loop()

    class EndpointJudge(DeepEvalBaseLLM):  # type: ignore[misc]  # deepeval's classes are untyped for mypy
        def load_model(self) -> str:
            return judge.model

        def get_model_name(self) -> str:
            return judge.model

        async def a_generate(self, prompt: str, schema: type[BaseModel] | None = None) -> BaseModel | str:
            return await (judge.text(prompt) if schema is None else judge.structured(prompt, schema))

        def generate(self, prompt: str, schema: type[BaseModel] | None = None) -> BaseModel | str:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return asyncio.run_coroutine_threadsafe(self.a_generate(prompt, schema), loop).result()
            raise JudgeError("a metric calls the judge's generate() inside a_measure(); it must await a_generate()")

    return EndpointJudge(judge.model)

"""The judge: an OpenAI-compatible model that grades answers, held to a JSON schema, and never guessed for when it fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import SEED
from vllm_quality.eval.client import ModelClient, RequestFailedError, RetryPolicy
from vllm_quality.eval.judge_json import (
    FORMS,
    BrokenJSONError,
    ResponseForm,
    Schema,
    in_words,
    read_json,
    response_format,
)
from vllm_quality.eval.suites import load_suites_file
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.settings import PREFIX, Settings

_ATTEMPTS = 3  # for one judgement whose JSON is broken
_MAX_TOKENS = 2048

Message = Mapping[str, str]


class JudgeSettingsError(UserError):
    """The judge is set up by halves."""


class JudgeError(Exception):
    """A judgement that could not be had: the item has no score."""


class JudgeBlockedError(JudgeError):
    """The judge is asked without `await` in the loop that would have to answer."""


@dataclass(frozen=True)
class JudgeSettings:
    """Which judge, and where. `url` ends where `/chat/completions` begins."""

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)

    def client(
        self, *, concurrency: int, timeout_s: float, retry: RetryPolicy, deadline: float | None = None
    ) -> ModelClient:
        """A client for the judge, to be used as a context manager."""
        return ModelClient(
            self.url,
            self.api_key,
            concurrency=concurrency,
            timeout_s=timeout_s,
            retry=retry,
            key_setting=f"{PREFIX}JUDGE_API_KEY",
            deadline=deadline,
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


@dataclass(frozen=True)
class Said:
    """One answer of the judge: its text, and the chat completion's `logprobs` where the server gave them."""

    text: str
    finish_reason: str | None
    logprobs: Mapping[str, Any] | None


class Judge:
    """Asks the judge at temperature 0 with a fixed seed, for JSON of a schema where the caller has one.

    What the server cannot do is found out once and then left alone: `form` goes down from json_schema to json_object to
    plain, `has_logprobs` turns False.

    spare_asks  how often broken JSON may be asked for again in all; None: as often as each judgement's own limit allows
    """

    def __init__(self, client: ModelClient, model: str, *, spare_asks: int | None = None) -> None:
        self.model = model
        self.asked_again = 0
        self.has_logprobs = True
        self._client = client
        self._spare_asks = spare_asks
        self._form: ResponseForm = FORMS[0]

    @property
    def form(self) -> ResponseForm:
        """How the server is held to JSON."""
        return self._form

    async def check_ready(self) -> None:
        """Send one tiny request. Raises `EndpointError` rather than let every judgement fail alike."""
        try:
            await self._send([_user("Say yes.")], SEED)
        except RequestFailedError as error:
            raise EndpointError(
                f"The judge {self.model!r} at {self._client.base_url} does not answer ({error}); correct {PREFIX}JUDGE_URL or "
                "its server, or unset it to go without judged metrics."
            ) from None

    async def text(self, prompt: str) -> str:
        """The judge's free answer. Raises `JudgeError`."""
        try:
            return (await self._send([_user(prompt)], SEED)).text
        except RequestFailedError as error:
            raise JudgeError(f"the judge did not answer: {error}") from None

    async def structured(self, prompt: str | Sequence[Message], schema: type[Schema]) -> Schema:
        """The judge's answer as an instance of `schema`. Raises `JudgeError` when no attempt brings what it wants."""
        return (await self._judgement(prompt, schema, None))[0]

    async def graded(self, prompt: str, schema: type[Schema], top_logprobs: int) -> tuple[Schema, Said]:
        """As `structured`, with the answer itself, which has logprobs unless the server gives none."""
        return await self._judgement(prompt, schema, top_logprobs)

    async def _judgement(
        self, prompt: str | Sequence[Message], schema: type[Schema], top_logprobs: int | None
    ) -> tuple[Schema, Said]:
        """Broken JSON is shown to the judge with what is wrong with it, and asked for again with another seed.

        The seed alone would do nothing at temperature 0.
        """
        first = [_user(prompt)] if isinstance(prompt, str) else list(prompt)
        messages, wrong = first, ""
        for attempt in range(_ATTEMPTS):
            if attempt and not self._may_ask_again():
                break
            try:
                said = await self._ask(messages, schema, SEED + attempt, top_logprobs)
            except RequestFailedError as error:
                raise JudgeError(f"the judge did not answer: {error}") from None
            if top_logprobs is not None and said.logprobs is None:
                self.has_logprobs = False
            try:
                return read_json(said.text, schema), said
            except BrokenJSONError as error:
                cut_off = ", cut off at the token limit" if said.finish_reason == "length" else ""
                wrong = f"{error}{cut_off}: {said.text[:100]!r}"
                again = f"That is not the JSON that was asked for ({error}). {in_words(schema)}"
                messages = [*first, {"role": "assistant", "content": said.text[:1000]}, _user(again)]
        raise JudgeError(f"the judge's answer is not the JSON that was asked for ({wrong})")

    def _may_ask_again(self) -> bool:
        if self._spare_asks is not None and self.asked_again >= self._spare_asks:
            return False
        self.asked_again += 1
        return True

    async def _ask(
        self, messages: Sequence[Message], schema: type[BaseModel], seed: int, top_logprobs: int | None
    ) -> Said:
        """One answer in the strictest form that the server takes.

        Refused: either this server does not know the form (or logprobs), or it does not like this prompt, and then what is
        asked for last fails as well and nothing is concluded.
        """
        wanted = [None] if top_logprobs is None or not self.has_logprobs else [top_logprobs, None]
        tries = [(form, logprobs) for form in FORMS[FORMS.index(self._form) :] for logprobs in wanted]
        for form, logprobs in tries[:-1]:
            try:
                said = await self._send_form(messages, schema, seed, form, logprobs)
            except RequestFailedError as error:
                if not error.refused:
                    raise
                continue
            break
        else:
            form, logprobs = tries[-1]
            said = await self._send_form(messages, schema, seed, form, logprobs)
        self._form = max(self._form, form, key=FORMS.index)
        self.has_logprobs = self.has_logprobs and logprobs == wanted[0]
        return said

    async def _send_form(
        self,
        messages: Sequence[Message],
        schema: type[BaseModel],
        seed: int,
        form: ResponseForm,
        top_logprobs: int | None,
    ) -> Said:
        words = in_words(schema)
        if form != "json_schema" and words not in messages[-1]["content"]:
            messages = [*messages[:-1], {**messages[-1], "content": f"{messages[-1]['content']}\n\n{words}"}]
        logprobs = {} if top_logprobs is None else {"logprobs": True, "top_logprobs": top_logprobs}
        return await self._send(messages, seed, **response_format(form, schema), **logprobs)

    async def _send(self, messages: Sequence[Message], seed: int, **more: Any) -> Said:
        body = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "temperature": 0,
            "seed": seed,
            "max_tokens": _MAX_TOKENS,
            **more,
        }
        return await self._client.post("/chat/completions", body, _read)


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def _read(answer: Mapping[str, Any]) -> Said:
    choice = answer["choices"][0]
    return Said(str(choice["message"]["content"] or ""), choice.get("finish_reason"), choice.get("logprobs"))

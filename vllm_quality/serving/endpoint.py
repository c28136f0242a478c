"""Where a release answers, and who is answering: address, model, engine and what the engine can do."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_fixed,
)

from vllm_quality.errors import UserError

_ATTEMPTS = 3
_PROBE_TEXT = "The quick brown fox"


class EndpointError(UserError):
    """The endpoint cannot be reached or used."""


class EndpointNotReadyError(EndpointError):
    """Nobody answers there yet, or only to say so."""


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as it identified itself. Holds no secret: the API key travels beside it.

    base_url        without /v1 and without a trailing slash
    model           the served name that every request asks for
    engine          "vllm", "llama.cpp" or "unknown"
    capabilities    of "chat", "completions", "echo_logprobs" (token-exact loglikelihood), "tokenize" (vLLM's form)
    max_model_len   tokens; None where the engine does not tell
    """

    base_url: str
    model: str
    engine: str
    engine_version: str
    capabilities: tuple[str, ...]
    max_model_len: int | None

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Endpoint":
        """The inverse of `as_json`."""
        return cls(**{**stored, "capabilities": tuple(stored["capabilities"])})


def resolve_base_url(template: str, tag: str) -> str:
    """The address for a tag: `{tag}` filled in, a trailing slash or /v1 taken off."""
    return template.replace("{tag}", tag).rstrip("/").removesuffix("/v1").rstrip("/")


def endpoint_name(base_url: str) -> str:
    """The short name that runs on the same endpoint share: host, port and path."""
    parts = urlsplit(base_url)
    return f"{parts.netloc}{parts.path}"


def auth_headers(api_key: str | None) -> dict[str, str]:
    """The header that carries the key; none without one."""
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def identify(base_url: str, model: str | None, api_key: str | None, timeout_s: float) -> Endpoint:
    """Ask an endpoint who it is, with a handful of tiny requests.

    Raises `EndpointError` when nothing answers, the key is refused, the model is not served, or no completion comes back.
    """
    with httpx.Client(
        base_url=base_url, headers=auth_headers(api_key), timeout=httpx.Timeout(timeout_s, connect=10)
    ) as client:
        served = _served_models(client)
        chosen = _choose_model(served, model, base_url)
        entry = served[chosen]
        engine, version = _engine(client, str(entry.get("owned_by", "")))
        capabilities = _capabilities(client, chosen)
    if not {"chat", "completions"} & set(capabilities):
        raise EndpointError(
            f"{base_url} lists the model {chosen!r} but answers neither /v1/chat/completions nor /v1/completions; "
            "check the server's log and that it serves a text generation model."
        )
    length = entry.get("max_model_len") or (entry.get("meta") or {}).get("n_ctx_train")
    return Endpoint(base_url, chosen, engine, version, capabilities, int(length) if length else None)


def identify_when_ready(
    base_url: str, model: str | None, api_key: str | None, timeout_s: float, *, patience_s: float, pause_s: float = 10
) -> Endpoint:
    """As `identify`, but an endpoint that is not there yet is asked again until `patience_s` seconds have passed."""
    retrying = Retrying(
        retry=retry_if_exception_type(EndpointNotReadyError),
        stop=stop_after_delay(patience_s),
        wait=wait_fixed(pause_s),
        reraise=True,
    )
    return retrying(identify, base_url, model, api_key, timeout_s)


def _send(client: httpx.Client, method: str, path: str, body: object = None) -> httpx.Response:
    def is_transient(error: BaseException) -> bool:
        return isinstance(error, httpx.TransportError) or (
            isinstance(error, httpx.HTTPStatusError) and error.response.status_code in (429, 502, 503, 504)
        )

    retrying = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=0.5, max=5),
        retry=retry_if_exception(is_transient),
        reraise=True,
    )
    for attempt in retrying:
        with attempt:
            response = client.request(method, path, json=body)
            if response.status_code in (429, 502, 503, 504):
                response.raise_for_status()
    return response


def _reach(client: httpx.Client, path: str) -> httpx.Response:
    where = str(client.base_url).rstrip("/")
    try:
        response = _send(client, "GET", path)
    except httpx.TimeoutException:
        raise EndpointNotReadyError(
            f"{where} did not answer {path} in time; check that the server is up and not overloaded."
        ) from None
    except httpx.TransportError as error:
        raise EndpointNotReadyError(
            f"{where} cannot be reached ({error}); check --base-url or VLLM_QUALITY_BASE_URL and the server."
        ) from None
    except httpx.HTTPStatusError as error:
        raise EndpointNotReadyError(
            f"{where} answered {path} with {error.response.status_code}; wait until the server is ready."
        ) from None
    if response.status_code in (401, 403):
        raise EndpointError(
            f"{where} refused the API key ({response.status_code}); set VLLM_QUALITY_API_KEY to one it accepts."
        )
    return response


def _served_models(client: httpx.Client) -> dict[str, dict[str, Any]]:
    where = str(client.base_url).rstrip("/")
    response = _reach(client, "/v1/models")
    try:
        models = {str(entry["id"]): dict(entry) for entry in response.json()["data"]}
    except (ValueError, KeyError, TypeError):
        raise EndpointError(
            f"{where}/v1/models answered {response.status_code} and no list of models; give the address of an "
            "OpenAI-compatible server, without /v1."
        ) from None
    if not models:
        raise EndpointError(f"{where}/v1/models lists no model; load one, then try again.")
    return models


def _choose_model(served: Mapping[str, object], wanted: str | None, base_url: str) -> str:
    names = ", ".join(sorted(served))
    if wanted is None and len(served) == 1:
        return next(iter(served))
    if wanted is None:
        raise EndpointError(
            f"{base_url} serves several models ({names}); choose one with --model or VLLM_QUALITY_MODEL."
        )
    if wanted not in served:
        raise EndpointError(f"{base_url} does not serve {wanted!r} but {names}; correct --model or VLLM_QUALITY_MODEL.")
    return wanted


def _engine(client: httpx.Client, owned_by: str) -> tuple[str, str]:
    def field(path: str, key: str) -> str | None:
        try:
            response = _send(client, "GET", path)
            answer = response.json() if response.status_code == 200 else {}
        except (httpx.HTTPError, ValueError):
            return None
        return str(answer[key]) if isinstance(answer, dict) and answer.get(key) else None

    if "llama" in owned_by:
        return "llama.cpp", field("/props", "build_info") or "unknown"
    version = field("/version", "version")
    if owned_by == "vllm":
        return "vllm", version or "unknown"
    return "unknown", version or "unknown"


def _capabilities(client: httpx.Client, model: str) -> tuple[str, ...]:
    def answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = _send(client, "POST", path, {"model": model, **body})
            parsed = response.json() if response.status_code == 200 else {}
        except (httpx.HTTPError, ValueError):
            return {}
        return parsed if isinstance(parsed, dict) else {}

    found = []
    if answer("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}).get(
        "choices"
    ):
        found.append("chat")
    echoed = answer("/v1/completions", {"prompt": _PROBE_TEXT, "max_tokens": 1, "echo": True, "logprobs": 1}).get(
        "choices"
    )
    if echoed or answer("/v1/completions", {"prompt": _PROBE_TEXT, "max_tokens": 1}).get("choices"):
        found.append("completions")
    # An engine that ignores `echo` returns the logprob of the one new token: scoring that would be chance.
    logprobs = (echoed[0].get("logprobs") or {}) if echoed else {}
    if len(logprobs.get("token_logprobs") or ()) > 2:
        found.append("echo_logprobs")
    if answer("/tokenize", {"prompt": _PROBE_TEXT}).get("tokens"):
        found.append("tokenize")
    return tuple(found)

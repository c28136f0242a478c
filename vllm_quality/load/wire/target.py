"""Where requests go and what an endpoint needs around a body: address, model, key, usage options."""

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from vllm_quality.load.errors import LoadError
from vllm_quality.serving.endpoint import Endpoint

_SENDABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Target:
    """One endpoint's request path. Its repr does not show the API key.

    extras: keys put before the body's own, none of which changes what the model is asked to do.
    """

    base_url: str
    path: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `LoadError` for an address or a key that cannot be sent."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LoadError(
                f"The endpoint {self.base_url!r} is not an address; it must begin with http:// or https://."
            )
        if self.api_key is not None and not _SENDABLE.fullmatch(self.api_key):
            raise LoadError(
                "The API key holds a blank or a character outside ASCII, which no header can carry; set "
                "VLLM_QUALITY_API_KEY to the key alone."
            )

    @property
    def host(self) -> str:
        """Name or address, without brackets."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int:
        """The port, told from the scheme where it is not given."""
        parts = urlsplit(self.base_url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """Certificates are verified against the system's authorities, or SSL_CERT_FILE."""
        return ssl.create_default_context() if urlsplit(self.base_url).scheme == "https" else None

    @cached_property
    def _head(self) -> bytes:
        parts = urlsplit(self.base_url)
        lines = [
            f"POST {parts.path.rstrip('/')}{self.path} HTTP/1.1",
            f"Host: {parts.netloc.rpartition('@')[2]}",
            "User-Agent: vllm-quality",
            "Content-Type: application/json",
            "Accept: text/event-stream, application/json",
            "Accept-Encoding: identity",
            *([f"Authorization: Bearer {self.api_key}"] if self.api_key else []),
            "Content-Length: ",
        ]
        return "\r\n".join(lines).encode("ascii")

    @cached_property
    def _own(self) -> bytes:
        return self._keys(self.extras)

    def _keys(self, extras: Mapping[str, Any]) -> bytes:
        return json.dumps({"model": self.model, **extras}, ensure_ascii=False).encode()[:-1] + b","

    def request(self, body: bytes, lap: int = 0) -> bytes:
        """The bytes to send for a tape's body, a JSON object with at least one key.

        lap: how often the body was sent before in this run; the salt differs with it, so that no prefix cache answers.
        """
        own = self._own
        if lap and "cache_salt" in self.extras:
            own = self._keys({**self.extras, "cache_salt": f"{self.extras['cache_salt']}-{lap}"})
        return b"%b%d\r\n\r\n%b%b" % (self._head, len(own) + len(body) - 1, own, body[1:])

    def scrub(self, text: str) -> str:
        """The text with the API key taken out: servers like to repeat what they were sent."""
        return text.replace(self.api_key, "***") if self.api_key else text

    def with_extras(self, extras: Mapping[str, Any]) -> "Target":
        """The same target, with other extras."""
        return replace(self, extras=extras)


def target_of(endpoint: Endpoint, path: str, api_key: str | None) -> Target:
    """Where an endpoint's requests of one path go."""
    return Target(endpoint.base_url, path, endpoint.model, api_key)


def candidate_extras(engine: str, salt: str, *, streaming: bool) -> list[dict[str, Any]]:
    """The extras to offer an endpoint, best first: the first that it does not answer with 400 is used.

    `continuous_usage_stats` has vLLM count the tokens in each chunk. The tape is the same in every run, and a server that
    is still up would find its prompts in the prefix cache: `cache_salt` (vLLM, one salt per run) and `cache_prompt`
    (llama.cpp) keep it from that.
    """
    by_engine: dict[str, dict[str, Any]] = {"vllm": {"cache_salt": salt}, "llama.cpp": {"cache_prompt": False}}
    fresh = by_engine.get(engine, {})
    if not streaming:
        return [fresh, {}] if fresh else [{}]
    usage, counting = {"include_usage": True}, {"include_usage": True, "continuous_usage_stats": True}
    offers = [{**fresh, "stream_options": counting}, {**fresh, "stream_options": usage}]
    return [*offers, *([{"stream_options": usage}] if fresh else []), {}]

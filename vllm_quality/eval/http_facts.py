"""The way to a server, and what it says when it refuses a request."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def said_in(raw: bytes) -> str:
    """The message in an error's body, in OpenAI's form or another, as one line of at most 200 characters."""
    text = raw[:4096].decode("utf-8", "replace")
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        error = answer.get("error", answer)
        found = error.get("message", error.get("detail")) if isinstance(error, dict) else error
        text = str(found or text)
    return " ".join(text.split())[:200]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The pause in seconds that the server asks for; None where it names none (or a date)."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def proxy_for(url: str) -> str | None:
    """The environment's proxy for an address (HTTPS_PROXY, NO_PROXY …), None without one."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)

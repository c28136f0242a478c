"""The three HTTP headers a registry speaks through: Link, WWW-Authenticate, Retry-After. Pure parsing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_HEADER = 4096  # characters; real ones have a few hundred, and parsing time stays small whatever a server sends

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAM = rf"{_WORD}(?:\s*=\s*(?:{_QUOTED}|[^\s;,\"]*))?"
_LINK = re.compile(rf"[\s,]*<(?P<target>[^<>]*)>(?P<params>(?:\s*;\s*(?:{_PARAM})?)*)\s*(?:,|\Z)")
_LINK_PARAM = re.compile(rf"({_WORD})\s*=\s*({_QUOTED}|[^\s;,\"]*)")
_SCHEME = re.compile(rf"[\s,]*(?P<scheme>{_WORD})(?:\s+[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|\Z)))?")
_AUTH_PARAM = re.compile(rf"[\s,]*(?P<key>{_WORD})\s*=\s*(?P<value>{_QUOTED}|{_WORD})(?=[\s,]|\Z)")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,12})?)(ns|us|µs|μs|ms|s|m|h)")
_GO_RETRY = re.compile(rf"retry-after:\s*((?:{_GO_PART.pattern})+)", re.IGNORECASE)


class HeaderError(ValueError):
    """A header that breaks its grammar."""


@dataclass(frozen=True)
class Challenge:
    """One way to authenticate that a server offers. `scheme` and the parameters' names are in lower case."""

    scheme: str
    params: Mapping[str, str]


def next_link(header: str) -> str | None:
    """The target of `rel="next"` in a Link header (RFC 8288), as it was written; None when there is none.

    Raises `HeaderError` when the header cannot be read: to take that for the last page would lose tags.
    """
    position, end = 0, _bounded(header)
    while position < end:
        link = _LINK.match(header, position)
        if link is None:
            raise HeaderError("the Link header cannot be read")
        relations = [value for key, value in _LINK_PARAM.findall(link["params"]) if key.lower() == "rel"]
        if relations and "next" in _unquote(relations[0]).lower().split():  # RFC 8288, 3.3: only the first rel counts
            return link["target"].strip()
        position = link.end()
    return None


def challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a WWW-Authenticate header (RFC 9110, 11.6.1), in order. Raises `HeaderError`."""
    return tuple(_challenges(header))


def _challenges(header: str) -> Iterator[Challenge]:
    position, end = 0, _bounded(header)
    while position < end:
        scheme = _SCHEME.match(header, position)
        if scheme is None:
            raise HeaderError("the WWW-Authenticate header cannot be read")
        position = scheme.end()
        params: dict[str, str] = {}
        while param := _AUTH_PARAM.match(header, position):
            params.setdefault(param["key"].lower(), _unquote(param["value"]))
            position = param.end()
        if header[position : position + 1] not in ("", " ", "\t", ","):
            raise HeaderError("the WWW-Authenticate header cannot be read")
        yield Challenge(scheme["scheme"].lower(), params)


def retry_after_s(header: str | None, body: str, now: datetime) -> float | None:
    """Seconds that a 429 or 503 asks us to wait; None when it does not say.

    The header holds seconds or an HTTP date (RFC 9110, 10.2.3). GHCR sends none, but a Go duration in the body:
    `toomanyrequests: retry-after: 1.16676ms, allowed: 44000/minute`.
    """
    if header is not None and re.fullmatch(r"\s*[0-9]{1,9}\s*", header):
        return float(header)
    if header is not None and len(header) <= MAX_HEADER:
        try:
            when = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            pass  # neither seconds nor a date: see what the body says
        else:
            return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())
    in_body = _GO_RETRY.search(body)
    if in_body is None:
        return None
    return sum(float(number) * _GO_UNITS[unit.lower()] for number, unit in _GO_PART.findall(in_body[1].lower()))


def _bounded(header: str) -> int:
    """Where the header's content ends."""
    if len(header) > MAX_HEADER:
        raise HeaderError(f"a header has more than {MAX_HEADER} characters")
    return len(header.rstrip(" \t,"))


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value

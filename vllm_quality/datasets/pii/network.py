"""E-mail and IP addresses."""

import functools
import ipaddress
import re
from typing import Any

from vllm_quality.datasets.pii import words
from vllm_quality.datasets.pii.rule import LIKELY, STRONG, WEAK, Near, Rule

_LOCAL = r"(?<![A-Za-z0-9._%+'-])(?<!://)(?!git@)[A-Za-z0-9_+][A-Za-z0-9._%+'-]{0,63}"
# Names of methods that are top-level domains as well: `a @ b.dot(c)` multiplies matrices.
_METHODS = "dot|map|read|call|data|date|open|select|search|cat"
_DOMAIN = rf"(?:[A-Za-z0-9][A-Za-z0-9-]{{0,62}}\.){{1,8}}(?!(?:{_METHODS})\()[A-Za-z]{{2,24}}(?![A-Za-z]|-[A-Za-z0-9])"
_HANGUL = r"(?<![가-힣A-Za-z0-9])[가-힣]{2,20}@(?:[가-힣A-Za-z0-9-]{1,63}\.){1,8}(?:한국|[A-Za-z]{2,24}(?![A-Za-z0-9]))"
_SPELT = re.compile(
    r"(?<![A-Za-z0-9._%+'-])[A-Za-z0-9_+][A-Za-z0-9._%+'-]{0,63} ?[(\[]at[)\]] ?"
    r"[A-Za-z0-9-]{1,63}(?: ?(?:\.|[(\[]dot[)\]]) ?[A-Za-z0-9-]{2,63}){1,5}",
    re.IGNORECASE,
)
# Domains that no list of public ones has: RFC 2606, RFC 6761, and what is used at home and at work.
_OTHER_DOMAINS = {"example", "test", "invalid", "local", "localhost", "internal", "intranet", "lan", "corp", "home"}

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_DOTTED = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
_V4_STARTS = r"(?<![0-9A-Za-z_])(?<![0-9]\.)"
_V4_ENDS = r"(?![0-9A-Za-z_]|\.[0-9]|-[A-Za-z]| ?(?:버전|절|장|항))"
_V6 = re.compile(
    r"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f]{0,4})(?![0-9A-Za-z_:])"
)
# Addresses given to hosts; a::b and 1::2, which are valid too, are not among them.
_V6_NETWORKS = tuple(map(ipaddress.IPv6Network, ("2000::/3", "fc00::/7", "fe80::/10", "::ffff:0:0/96", "64:ff9b::/96")))


@functools.cache
def _suffixes() -> Any:
    """The public suffix list that comes with tldextract: it must not fetch a newer one, nor keep one in a folder."""
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def _has_domain(value: str) -> bool:
    domain = value.rpartition("@")[2].lower()
    return domain.rpartition(".")[2] in _OTHER_DOMAINS or bool(_suffixes().extract_str(domain).suffix)


def _is_host4(value: str) -> bool:
    """Whether it is some machine's: not every machine's (127.0.0.1), nor a network's, nor a mask."""
    address = ipaddress.IPv4Address(value)
    special = address.is_loopback or address.is_multicast or address.is_unspecified
    return not (special or value.startswith("255.") or value.endswith(".0"))


def _is_host6(value: str) -> bool:
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return any(char.isdigit() for char in value) and any(address in network for network in _V6_NETWORKS)


RULES = (
    Rule("EMAIL", re.compile(f"{_LOCAL}@{_DOMAIN}"), STRONG, "@", _has_domain),
    Rule("EMAIL", re.compile(f"{_LOCAL}@{_DOMAIN}"), WEAK, "@", near=Near(words.MAIL, before=20)),
    Rule("EMAIL", re.compile(_HANGUL), LIKELY, "@"),
    Rule("EMAIL", _SPELT, LIKELY, re.compile(r"[(\[]at[)\]]", re.IGNORECASE)),
    Rule(
        "IP",
        re.compile(rf"{_V4_STARTS}(?:10|[3-9][0-9]|1[0-9]{{2}}|2[0-5][0-9])(?:\.{_OCTET}){{3}}{_V4_ENDS}"),
        LIKELY,
        _DOTTED,
        lambda value: int(value.partition(".")[0]) < 256 and _is_host4(value),
        unless=words.VERSION_BEFORE,
    ),
    # What begins with a small number is more often a version than an address.
    Rule(
        "IP",
        re.compile(rf"{_V4_STARTS}{_OCTET}(?:\.{_OCTET}){{3}}{_V4_ENDS}"),
        WEAK,
        _DOTTED,
        _is_host4,
        Near(words.ADDRESS, before=16),
        words.VERSION_BEFORE,
    ),
    Rule("IP", _V6, LIKELY, re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]"), _is_host6),
)

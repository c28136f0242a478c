"""Secrets in URLs: the URL stays, what opens the door is replaced."""

import re

from vllm_quality.datasets.pii.checks import is_filled_in, is_random
from vllm_quality.datasets.pii.rule import Rule

# What of a URL a value can be made of; it does not end in what ends a sentence.
_VALUE = r"[A-Za-z0-9._~%+/=:@!$*,-]"
_LAST = r"[A-Za-z0-9_~%+/=*-]"
_CLEAR_NAMES = (
    r"(?:[a-z]+[_-]?)?token|(?:[a-z]+[_-]?)?api[_-]?key|apikey|(?:[a-z]+[_-]?)?secret|password|passwd|pwd|sig|signature|"
    r"x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|awsaccesskeyid|jwt|credentials?"
)
_OTHER_NAMES = r"key|code|auth|session|session[_-]?id|sid|pass|otp|ticket|invite(?:[_-]?code)?|hash"
_WAYS_IN = (
    "reset|reset-password|password|verify|verification|confirm|activate|invite|invitation|magic|unsubscribe|share"
)


def _is_password(value: str) -> bool:
    """Whether "user:password" has one that isn't an example's."""
    word = value.partition(":")[2]
    return is_filled_in(word) and word.lower() not in ("password", "passwd", "pass", "secret")


def _parameter(names: str, least: int) -> re.Pattern[str]:
    return re.compile(rf"[?&#;](?:{names})=(?P<value>{_VALUE}{{{least},4096}}{_LAST})", re.IGNORECASE)


RULES = (
    Rule(
        "URL_TOKEN",
        re.compile(
            r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{1,20}://(?P<value>[^\s/?#@<>\"'`]{0,128}:[^\s/?#@<>\"'`]{1,128})@"
        ),
        0.99,
        "://",
        _is_password,
    ),
    Rule("URL_TOKEN", re.compile(r"://(?P<value>[A-Za-z0-9_.~%-]{16,256})@"), 0.99, "://", is_random),
    Rule("URL_TOKEN", _parameter(_CLEAR_NAMES, 5), 0.9, "=", is_filled_in),
    Rule("URL_TOKEN", _parameter(_OTHER_NAMES, 9), 0.9, "=", is_random),
    Rule(
        "URL_TOKEN",
        re.compile(rf"/(?:{_WAYS_IN})/(?P<value>[A-Za-z0-9_-]{{16,512}})", re.IGNORECASE),
        0.9,
        "://",
        is_random,
    ),
)

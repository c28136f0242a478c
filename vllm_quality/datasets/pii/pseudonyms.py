"""What a finding is replaced by: a pseudonym under a key, or the name of its kind."""

import base64
import hashlib
import hmac

from pydantic import SecretStr

from vllm_quality.datasets.pii.canonical import canonical_value
from vllm_quality.datasets.pii.skeleton import PSEUDONYM_LENGTH

_VERSION = "vllm_quality pii 1"
_FINGERPRINT = 8  # hex digits


class Pseudonyms:
    """Replacements of one data set.

    A pseudonym is HMAC-SHA256 of kind and canonical value under a subkey of the data set: equal for two spellings of a
    number, of no use beside another data set, and without the key not to be had by trying all numbers. A new key makes
    all of them new, and nobody can tell which belong together.
    """

    def __init__(self, key: SecretStr | None, dataset: str) -> None:
        self._subkey = None if key is None else _mac(key.get_secret_value().encode(), f"{_VERSION}\0{dataset}")

    def __repr__(self) -> str:
        return f"Pseudonyms({self.fingerprint or 'redaction'})"

    @property
    def fingerprint(self) -> str | None:
        """Tells two keys apart, and nothing else of them; None without a key."""
        return None if self._subkey is None else _mac(self._subkey, "fingerprint").hex()[:_FINGERPRINT]

    def replacement(self, kind: str, value: str) -> str:
        """`<PHONE_k7q2…>`, or `<PHONE>` without a key."""
        if self._subkey is None:
            return f"<{kind}>"
        code = base64.b32encode(_mac(self._subkey, f"{kind}|{canonical_value(kind, value)}")).decode().lower()
        return f"<{kind}_{code[:PSEUDONYM_LENGTH]}>"


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)

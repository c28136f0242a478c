"""How a registry's 401 is answered: with a pull token from its token server, or with the credentials themselves."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from vllm_quality.releases.headers import HeaderError, challenges
from vllm_quality.releases.image import Image, is_loopback
from vllm_quality.releases.transport import Answer, RegistryError, Transport


@dataclass(frozen=True)
class Credentials:
    """A user name and a password or personal access token."""

    user: str
    token: SecretStr

    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.user}:{self.token.get_secret_value()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True)
class Login:
    """The login of one registry, which answers at `base`. Without credentials it is anonymous: enough for public images."""

    image: Image
    credentials: Credentials | None
    base: httpx.URL

    def authorize(self, transport: Transport, refusal: Answer) -> str:
        """The Authorization that a 401 asks for. Raises `RegistryError`.

        Tokens expire without notice (GHCR sends no `expires_in`), so every 401 fetches a new one.
        """
        if (refusal.url.scheme, refusal.url.netloc) != (self.base.scheme, self.base.netloc):
            # Answering it would hand the credentials to whoever the registry redirected to.
            raise self._error(f"redirects to {refusal.url.host}, which asks for a login of its own; ask its operator")
        offers: dict[str, Mapping[str, str]] = {}
        try:
            for line in refusal.headers.get_list("WWW-Authenticate"):
                for offer in challenges(line):
                    offers.setdefault(offer.scheme, offer.params)
        except HeaderError as error:
            raise self._error(f"asks for a login in a way that cannot be read ({error}); ask its operator") from None
        if "bearer" in offers:
            return f"Bearer {self._token(transport, offers['bearer'])}"
        if "basic" in offers and self.credentials is not None:
            return self.credentials.basic()
        raise self.denied(refusal)

    def denied(self, refusal: Answer) -> RegistryError:
        """The error for a registry that does not let us in."""
        code = _error_code(refusal.body)
        says = f"{refusal.status} {code}".strip()
        if self.credentials is None:
            todo = "set VLLM_QUALITY_REGISTRY_USER and VLLM_QUALITY_REGISTRY_TOKEN (GHCR: a classic token with read:packages)"
        else:
            todo = "check VLLM_QUALITY_IMAGE and VLLM_QUALITY_REGISTRY_USER and _TOKEN (GHCR: a classic token with read:packages)"
        return self._error(f"refuses to show {self.image.name!r} ({says}); {todo}")

    def _token(self, transport: Transport, challenge: Mapping[str, str]) -> str:
        realm = self._realm(challenge.get("realm", ""))
        query = {"scope": challenge.get("scope") or f"repository:{self.image.name}:pull"}
        if service := challenge.get("service"):
            query["service"] = service
        headers = {"Accept": "application/json"}
        if self.credentials is not None:
            headers["Authorization"] = self.credentials.basic()
        answer = transport.ask("GET", realm.copy_merge_params(query), headers)
        if answer.status in (400, 401, 403, 404):
            raise self.denied(answer)
        token = _granted(answer.body)
        if answer.status != 200 or token is None:
            raise self._error(f"sends us to {realm.host} for a token, which gave none; check for proxies in between")
        return token

    def _realm(self, text: str) -> httpx.URL:
        """The token server's address, if credentials may go there. It may be another host: Docker Hub's is."""
        try:
            realm = httpx.URL(text)
        except httpx.InvalidURL:
            realm = httpx.URL()
        plain = realm.scheme == self.base.scheme and (self.credentials is None or is_loopback(realm.host))
        if not realm.host or realm.userinfo or not (realm.scheme == "https" or plain):
            raise self._error("asks to fetch a token from an address that is no https:// URL; ask its operator")
        return realm

    def _error(self, text: str) -> RegistryError:
        return RegistryError(f"The registry {self.image.host} {text}.")


def _granted(body: bytes) -> str | None:
    """The token in a token server's answer, under either of its two names; None when there is none."""
    try:
        grant = json.loads(body)
    except (ValueError, RecursionError):
        return None
    token = (grant.get("token") or grant.get("access_token")) if isinstance(grant, dict) else None
    # Anything but visible ASCII cannot stand in a header, and the error about that would print it.
    return token if isinstance(token, str) and re.fullmatch(r"[\x21-\x7e]+", token) else None


def _error_code(body: bytes) -> str:
    """The registry's error code, such as "DENIED". Its message is left out: free text might repeat a secret."""
    found = re.search(rb'"code"\s*:\s*"([A-Z_]{1,40})"', body[:4096])
    return found[1].decode() if found else ""

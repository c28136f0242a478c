"""What a registry holds: the tags of a repository and their digests, by the OCI distribution protocol over HTTP."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx

from vllm_quality.releases.headers import HeaderError, next_link
from vllm_quality.releases.image import Image
from vllm_quality.releases.login import Credentials, Login
from vllm_quality.releases.transport import Answer, OutOfTimeError, RegistryError, Transport

PAGE = 1000  # tags asked for at once; a registry may send fewer (GHCR's own page is 100) or all of them
MAX_PAGES = 300
# All four, or a registry answers 404 for a manifest of the kind left out.
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class TagMissingError(RegistryError):
    """The tag is listed, but has no manifest (any more)."""


@dataclass(frozen=True)
class DigestReading:
    """Digests by tag, and one sentence for each tag that could not be read; a tag in neither was not reached in time."""

    digests: Mapping[str, str]
    failures: Mapping[str, str]


@dataclass
class RegistryClient:
    """Reads one repository. A context manager for one look at it: its time budget runs from its making.

    budget_s       seconds that all its requests, retries and pauses may take together
    timeout_s      seconds of silence after which one request is given up
    first_pause_s  scale of the random pause before the first retry; it doubles from there
    """

    image: Image
    credentials: Credentials | None = None
    plain_http: bool = False
    budget_s: float = 30.0
    timeout_s: float = 10.0
    first_pause_s: float = 0.5
    _authorization: str | None = field(default=None, init=False, repr=False)
    _login: Login = field(init=False, repr=False)
    _transport: Transport = field(init=False, repr=False)
    _base: httpx.URL = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.plain_http and self.credentials and not self.image.is_loopback:
            raise RegistryError(
                f"VLLM_QUALITY_REGISTRY_TOKEN would go to {self.image.host} unencrypted; "
                "unset it or VLLM_QUALITY_REGISTRY_PLAIN_HTTP."
            )
        self._base = httpx.URL(f"{'http' if self.plain_http else 'https'}://{self.image.host}/v2/{self.image.name}/")
        self._login = Login(self.image, self.credentials, self._base)
        self._transport = Transport(
            budget_s=self.budget_s,
            timeout_s=self.timeout_s,
            first_pause_s=self.first_pause_s,
            plain_http=self.plain_http,
            proxies=not self.image.is_loopback,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def tags(self) -> tuple[str, ...]:
        """All tags of the repository, as the registry lists them: in its order, duplicates included. Raises `RegistryError`.

        Every page is read; a list that cannot be read to its end is an error, never a shorter list.
        """
        tags: list[str] = []
        url: httpx.URL | None = self._base.join(f"tags/list?n={PAGE}")
        visited: set[httpx.URL] = set()
        while url is not None:
            if url in visited or len(visited) == MAX_PAGES:
                raise self._error(
                    f"sends a list of tags without an end ({len(visited)} pages so far); ask its operator"
                )
            visited.add(url)
            answer = self._ask("GET", url, "application/json")
            if answer.status != 200:
                raise self._unexpected(answer)
            tags.extend(self._page(answer.body))
            url = self._next_page(answer, url)
        return tuple(tags)

    def digest(self, tag: str) -> str:
        """The digest that `tag` points to, such as "sha256:…". Raises `TagMissingError`, `RegistryError`."""
        url = self._base.join(f"manifests/{quote(tag, safe='')}")
        answer = self._ask("HEAD", url, MANIFESTS)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if answer.status == 200 and _DIGEST.fullmatch(digest):
            return str(digest)
        if answer.status in (200, 405):
            # HEAD and the header are optional in the protocol; the digest is the hash of the manifest's bytes anyway.
            answer = self._ask("GET", url, MANIFESTS)
        if answer.status == 404:
            raise TagMissingError(f"The registry {self.image.host} lists the tag {tag!r}, but has no manifest for it.")
        if answer.status != 200:
            raise self._unexpected(answer)
        return f"sha256:{hashlib.sha256(answer.body).hexdigest()}"

    def digests(self, tags: Sequence[str]) -> DigestReading:
        """The digests of `tags`, asked for in that order until the time is used up.

        One broken tag does not keep the others from being read. When none can be read, though their manifests should be
        there, the registry is at fault: raises `RegistryError`.
        """
        digests: dict[str, str] = {}
        failures: dict[str, str] = {}
        fault: RegistryError | None = None
        for tag in tags:
            try:
                digests[tag] = self.digest(tag)
            except TagMissingError as error:
                failures[tag] = str(error)
            except OutOfTimeError as error:
                fault = fault or error
                break
            except RegistryError as error:
                failures[tag] = str(error)
                fault = fault or error
        if fault is not None and not digests:
            raise fault
        return DigestReading(digests, failures)

    def _ask(self, method: str, url: httpx.URL, accept: str) -> Answer:
        """The answer, after logging in once more if the registry wants that."""
        answer = self._send(method, url, accept)
        if answer.status == 401:
            self._authorization = self._login.authorize(self._transport, answer)
            answer = self._send(method, url, accept)
        if answer.status in (401, 403):
            raise self._login.denied(answer)
        return answer

    def _send(self, method: str, url: httpx.URL, accept: str) -> Answer:
        headers = {"Accept": accept}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        return self._transport.ask(method, url, headers)

    def _page(self, body: bytes) -> list[str]:
        try:
            page = json.loads(body)
        except (ValueError, RecursionError):
            page = None
        tags = page.get("tags", ...) if isinstance(page, dict) else ...
        if tags is None:  # what distribution sends once all tags are deleted
            return []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise self._error(
                "sends something that is no list of tags; check VLLM_QUALITY_IMAGE and proxies in between"
            )
        return tags

    def _next_page(self, answer: Answer, url: httpx.URL) -> httpx.URL | None:
        try:
            target = next_link(", ".join(answer.headers.get_list("Link")))
            following = None if target is None else url.join(target)
        except (HeaderError, httpx.InvalidURL):
            raise self._error("sends a Link to the next page that cannot be read; ask its operator") from None
        if following is None:
            return None
        if (following.scheme, following.netloc, following.userinfo) == (self._base.scheme, self._base.netloc, b""):
            return following
        raise self._error(f"says its tags go on at {following.host or 'no host'}, which is refused; ask its operator")

    def _unexpected(self, answer: Answer) -> RegistryError:
        if answer.status == 404:
            return self._error(
                f"has no repository {self.image.name!r}, or hides it; "
                "check VLLM_QUALITY_IMAGE and VLLM_QUALITY_REGISTRY_TOKEN"
            )
        return self._error(f"answers with the unexpected status {answer.status}; check that it is an OCI registry")

    def _error(self, text: str) -> RegistryError:
        return RegistryError(f"The registry {self.image.host} {text}.")

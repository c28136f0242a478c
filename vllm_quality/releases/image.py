"""Where an image lives: `ghcr.io/acme/vllm` as a registry's address and a repository's name."""

import ipaddress
import re
from dataclasses import dataclass

from vllm_quality.errors import UserError

# distribution/reference: the grammar that registries accept for a repository's name, and for a tag.
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_DOCKER_HUB = ("docker.io", "index.docker.io")


class ImageError(UserError):
    """VLLM_QUALITY_IMAGE does not name a repository."""


@dataclass(frozen=True)
class Image:
    """A repository in a registry. `host` is what to connect to: "ghcr.io", "127.0.0.1:5000"; `name` is "acme/vllm"."""

    host: str
    name: str

    def __str__(self) -> str:
        return f"{self.host}/{self.name}"

    @property
    def is_loopback(self) -> bool:
        """True when the registry runs on this machine."""
        hostname = re.sub(r":[0-9]+\Z", "", self.host).strip("[]")
        return is_loopback(hostname)


def is_loopback(hostname: str) -> bool:
    """True for localhost and the loopback addresses; a name is not looked up."""
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return hostname == "localhost"


def parse_image(text: str) -> Image:
    """The repository that `text` names, such as "ghcr.io/OWNER/NAME" or "host:5000/path". Raises `ImageError`.

    A name without a registry is refused: guessing Docker Hub, as docker does, would watch a stranger's repository.
    """
    if re.search("@.*/", text):
        raise ImageError("VLLM_QUALITY_IMAGE holds a login; move it to VLLM_QUALITY_REGISTRY_USER and _TOKEN.")
    host, slash, name = text.strip().partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        raise _wrong(text, "names no registry; write it in full, such as ghcr.io/OWNER/NAME or docker.io/OWNER/NAME")
    if host.endswith(":") and name.startswith("/"):
        raise _wrong(text, "is a URL; leave out the scheme, as in ghcr.io/OWNER/NAME")
    if "@" in name or ":" in name:
        raise _wrong(text, "names one tag or digest; give the repository alone, all its tags are watched")
    address = _HOST.fullmatch(host)
    if address is None or not 0 < int(address["port"] or 443) < 65536:
        raise _wrong(text, f"has {host!r} where the registry's host or host:port belongs")
    if not _NAME.fullmatch(name):
        if _NAME.fullmatch(name.lower()):
            raise _wrong(text, f"has capital letters, which no repository has; write {host}/{name.lower()}")
        raise _wrong(text, "is not a repository's name; write it as ghcr.io/OWNER/NAME")
    if host in _DOCKER_HUB:
        return Image("registry-1.docker.io", name if "/" in name else f"library/{name}")
    return Image(host.lower(), name)


def _wrong(text: str, reason: str) -> ImageError:
    return ImageError(f"VLLM_QUALITY_IMAGE is {text[:200]!r}, which {reason}.")

"""What VLLM_QUALITY_IMAGE may name."""

import pytest

from vllm_quality.releases.image import Image, ImageError, parse_image


@pytest.mark.parametrize(
    ("text", "host", "name"),
    [
        ("ghcr.io/acme/vllm", "ghcr.io", "acme/vllm"),
        (" GHCR.io/acme/vllm ", "ghcr.io", "acme/vllm"),
        ("ghcr.io/acme/team/vllm-open_ai.server__x", "ghcr.io", "acme/team/vllm-open_ai.server__x"),
        ("127.0.0.1:5000/vllm", "127.0.0.1:5000", "vllm"),
        ("localhost/vllm", "localhost", "vllm"),
        ("registry:5000/a/b", "registry:5000", "a/b"),
        ("[::1]:5000/a", "[::1]:5000", "a"),
        ("docker.io/vllm/vllm-openai", "registry-1.docker.io", "vllm/vllm-openai"),
        ("docker.io/python", "registry-1.docker.io", "library/python"),
    ],
)
def test_a_repository(text: str, host: str, name: str) -> None:
    assert parse_image(text) == Image(host, name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no registry"),
        ("vllm", "names no registry"),
        ("acme/vllm", "docker.io/OWNER/NAME"),
        ("https://ghcr.io/acme/vllm", "is a URL"),
        ("ghcr.io/acme/vllm:release-1.0.0", "names one tag"),
        ("ghcr.io/acme/vllm@sha256:00", "names one tag"),
        ("ghcr.io/Acme/vLLM", "write ghcr.io/acme/vllm"),
        ("ghcr.io/", "not a repository's name"),
        ("ghcr.io//vllm", "not a repository's name"),
        ("ghcr.io/acme/../vllm", "not a repository's name"),
        ("ghcr.io/acme/vllm?x=1", "not a repository's name"),
        ("user:password@ghcr.io/acme/vllm", "holds a login"),
        ("https://user:password@ghcr.io/acme/vllm", "holds a login"),
        ("ghcr.io:99999/acme/vllm", "host:port"),
        ("-x.io/acme/vllm", "host:port"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        parse_image(text)
    assert str(caught.value).startswith("VLLM_QUALITY_IMAGE ")
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:5000/a", True),
        ("127.8.8.8/a", True),
        ("localhost:5000/a", True),
        ("[::1]:5000/a", True),
        ("ghcr.io/a", False),
        ("10.0.0.1:5000/a", False),
        ("127.0.0.1.example.com/a", False),
    ],
)
def test_loopback(text: str, loopback: bool) -> None:
    assert parse_image(text).is_loopback is loopback

"""The registry client against a registry on a real socket: what it reads, and how it says that it could not."""

import contextlib
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from pydantic import SecretStr

from vllm_quality.releases.image import parse_image
from vllm_quality.releases.login import Credentials
from vllm_quality.releases.registry import RegistryClient, TagMissingError
from vllm_quality.releases.transport import MAX_BODY, OutOfTimeError, RegistryError, Transport
from vllm_quality_tests.servers.oci_registry import FakeRegistry, Fault

RIGHT = Credentials("robot", SecretStr("s3cret-pat"))
WRONG = Credentials("robot", SecretStr("0ther-pat"))


def open_client(
    registry: FakeRegistry,
    credentials: Credentials | None = None,
    *,
    budget_s: float = 20.0,
    timeout_s: float = 5.0,
) -> RegistryClient:
    return RegistryClient(
        parse_image(registry.image),
        credentials,
        plain_http=True,
        budget_s=budget_s,
        timeout_s=timeout_s,
        first_pause_s=0.001,
    )


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        server.push("release-1.0.0")
        yield server


def error_of_tags(registry: FakeRegistry, credentials: Credentials | None = None, budget_s: float = 20.0) -> str:
    with open_client(registry, credentials, budget_s=budget_s) as client, pytest.raises(RegistryError) as caught:
        client.tags()
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert "secret" not in text
    assert "s3cret" not in text
    return text


@pytest.mark.parametrize("absolute", [False, True])
def test_all_pages_are_read(absolute: bool) -> None:
    with FakeRegistry(page_size=7, absolute_links=absolute) as registry:
        expected = [f"release-1.{minor}.0" for minor in range(50)]
        for tag in expected:
            registry.push(tag)
        with open_client(registry) as client:
            assert list(client.tags()) == expected
        assert registry.asked("tags/list") == 8


def test_a_repository_without_tags_has_none() -> None:
    with FakeRegistry() as registry, open_client(registry) as client:
        assert client.tags() == ()


def test_an_unknown_repository_is_an_error_and_not_an_empty_list(registry: FakeRegistry) -> None:
    registry.name = "acme/other"
    image = parse_image(f"{registry.host}/acme/vllm")
    with (
        RegistryClient(image, plain_http=True) as client,
        pytest.raises(RegistryError, match="no repository 'acme/vllm'"),
    ):
        client.tags()


@pytest.mark.parametrize(
    "link",
    [
        '</v2/acme/vllm/tags/list?n=1000>; rel="next"',
        "<list?n=1000>; rel=next",
        '<?n=1000>; title="a, b; c"; REL="prev Next"',
    ],
)
def test_a_list_that_leads_back_to_itself_is_refused(registry: FakeRegistry, link: str) -> None:
    registry.fail(Fault("tags/list", 200, {"Link": link}, b'{"tags": ["a"]}', times=1000))
    assert "without an end" in error_of_tags(registry)
    assert registry.asked("tags/list") == 1


def test_a_list_with_ever_new_pages_is_refused(registry: FakeRegistry) -> None:
    for page in range(400):
        registry.fail(Fault("tags/list", 200, {"Link": f'<list?page={page}>; rel="next"'}, b'{"tags": []}'))
    assert "300 pages" in error_of_tags(registry)


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:9/v2/x", "https://ghcr.io/v2/x", "//127.0.0.1:9/x", "ftp:x", "data:x"]
)
def test_pages_on_another_host_are_refused(registry: FakeRegistry, target: str) -> None:
    registry.fail(Fault("tags/list", 200, {"Link": f'<{target}>; rel="next"'}, b'{"tags": []}'))
    assert "refused" in error_of_tags(registry)


@pytest.mark.parametrize("link", ["<unfinished", "next", '<a>; rel="next', "<" + "a" * 5000 + ">"])
def test_a_link_that_cannot_be_read_is_not_the_last_page(registry: FakeRegistry, link: str) -> None:
    registry.fail(Fault("tags/list", 200, {"Link": link}, b'{"tags": []}'))
    assert "Link to the next page that cannot be read" in error_of_tags(registry)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"[]",
        b"{}",
        b'{"tags": "a"}',
        b'{"tags": [1]}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
    ],
)
def test_garbage_is_not_a_list_of_tags(registry: FakeRegistry, body: bytes) -> None:
    registry.fail(Fault("tags/list", 200, {"Content-Type": "text/html"}, body))
    assert "no list of tags" in error_of_tags(registry)


def test_an_endless_body_is_cut_off(registry: FakeRegistry) -> None:
    registry.fail(Fault("tags/list", 200, body=b" " * (MAX_BODY + 1)))
    assert "8 MiB" in error_of_tags(registry)


def test_a_public_repository_needs_a_token_but_no_credentials() -> None:
    with FakeRegistry(auth="token") as registry, open_client(registry) as client:
        registry.push("release-1.0.0")
        assert client.tags() == ("release-1.0.0",)
        assert client.digest("release-1.0.0") == registry.digest("release-1.0.0")
        token = [seen for seen in registry.requests if seen.path.startswith("/token")]
        assert len(token) == 1
        assert token[0].authorization == ""
        assert "scope=repository%3Aacme%2Fvllm%3Apull" in token[0].path


def test_tokens_that_expire_are_renewed() -> None:
    with FakeRegistry(auth="token", private=True, token_uses=2, page_size=1) as registry:
        for minor in range(9):
            registry.push(f"release-1.{minor}.0")
        with open_client(registry, RIGHT) as client:
            assert len(client.tags()) == 9
        assert registry.asked("/token") == 5


def test_a_token_that_never_helps_is_fetched_once() -> None:
    with FakeRegistry(auth="token", token_uses=0) as registry:
        assert "401 UNAUTHORIZED" in error_of_tags(registry)
        assert registry.asked("/token") == 1


@pytest.mark.parametrize(
    ("credentials", "todo"), [(None, "set VLLM_QUALITY_REGISTRY_USER"), (WRONG, "check VLLM_QUALITY_IMAGE")]
)
def test_a_private_repository_says_what_is_missing(credentials: Credentials | None, todo: str) -> None:
    with FakeRegistry(auth="token", private=True) as registry:
        text = error_of_tags(registry, credentials)
        assert "403 DENIED" in text
        assert todo in text


def test_basic_authentication() -> None:
    with FakeRegistry(auth="basic") as registry:
        registry.push("release-1.0.0")
        with open_client(registry, RIGHT) as client:
            assert client.tags() == ("release-1.0.0",)
        assert "401 UNAUTHORIZED" in error_of_tags(registry)
        assert "401 UNAUTHORIZED" in error_of_tags(registry, WRONG)


def test_forbidden_is_not_tried_again(registry: FakeRegistry) -> None:
    registry.fail(Fault("tags/list", 403, body=b'{"errors": [{"code": "DENIED", "message": "s3cret-pat"}]}'))
    assert "403 DENIED" in error_of_tags(registry, RIGHT)
    assert registry.asked("tags/list") == 1


@pytest.mark.parametrize(
    "challenge",
    [
        "Bearer",
        'Bearer realm="/token"',
        'Bearer realm="ftp://127.0.0.1/token"',
        'Bearer realm="http://user:pw@127.0.0.1/token"',
        'Bearer realm="http://registry.example/token"',  # credentials would travel unencrypted
        'Bearer realm="http://[/token"',
    ],
)
def test_a_token_is_fetched_only_where_credentials_may_go(registry: FakeRegistry, challenge: str) -> None:
    registry.fail(Fault("tags/list", 401, {"WWW-Authenticate": challenge}))
    assert "no https:// URL" in error_of_tags(registry, RIGHT)


@pytest.mark.parametrize("challenge", ['Bearer realm="x', "Bearer@", "@", 'Bearer a="b"c', "x" * 5000])
def test_a_challenge_that_cannot_be_read_is_an_error(registry: FakeRegistry, challenge: str) -> None:
    registry.fail(Fault("tags/list", 401, {"WWW-Authenticate": challenge}))
    assert "asks for a login in a way that cannot be read" in error_of_tags(registry, RIGHT)


@pytest.mark.parametrize(
    "grant", [b"", b"<html>", b"[]", b"{}", b'{"token": 1}', b'{"token": ""}', b'{"token": "secret\\nX: y"}']
)
def test_a_token_server_that_gives_no_token(grant: bytes) -> None:
    with FakeRegistry(auth="token") as registry:
        registry.fail(Fault("/token", 200, body=grant))
        assert "gave none" in error_of_tags(registry, RIGHT)


def test_the_other_name_of_a_token_is_known() -> None:
    with FakeRegistry(auth="token") as registry, open_client(registry) as client:
        registry.push("release-1.0.0")
        registry.fail(Fault("/token", 200, body=b'{"access_token": "%s"}' % registry.new_token().encode()))
        assert client.tags() == ("release-1.0.0",)


def test_a_redirect_to_another_host_does_not_take_the_login_along(registry: FakeRegistry) -> None:
    with FakeRegistry(auth="basic") as protected:
        target = f"http://{registry.host}/v2/acme/vllm/tags/list"
        protected.fail(Fault("tags/list", 401, {"WWW-Authenticate": 'Basic realm="x"'}))
        protected.fail(Fault("tags/list", 307, {"Location": target}))
        with open_client(protected, RIGHT) as client:
            assert client.tags() == ("release-1.0.0",)
        assert [seen.authorization for seen in registry.requests] == [""]


def test_a_redirect_to_a_host_that_asks_for_a_login_gets_none() -> None:
    with FakeRegistry(auth="basic") as stranger, FakeRegistry() as registry:
        registry.fail(Fault("tags/list", 307, {"Location": f"http://{stranger.host}/v2/acme/vllm/tags/list"}))
        assert "asks for a login of its own" in error_of_tags(registry, RIGHT)
        assert [seen.authorization for seen in stranger.requests] == [""]


@pytest.mark.parametrize("target", ["/v2/acme/vllm/tags/list", "ftp://127.0.0.1/", "http://[", "data:x"])
def test_redirects_that_lead_nowhere(registry: FakeRegistry, target: str) -> None:
    registry.fail(Fault("tags/list", 302, {"Location": target}, times=100))
    error_of_tags(registry)
    assert registry.asked("tags/list") <= 4


def test_a_redirect_away_from_tls_is_refused(registry: FakeRegistry) -> None:
    transport = Transport(budget_s=5, timeout_s=5, first_pause_s=0.001, plain_http=False, proxies=False)
    with contextlib.closing(transport), pytest.raises(RegistryError, match="without TLS"):
        transport.ask("GET", httpx.URL(f"http://{registry.host}/v2/acme/vllm/tags/list"), {})
    assert registry.requests == []


def test_a_token_is_not_sent_unencrypted_to_another_machine() -> None:
    with pytest.raises(RegistryError, match="unencrypted"):
        RegistryClient(parse_image("registry.example:5000/acme/vllm"), RIGHT, plain_http=True)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(registry: FakeRegistry, status: int) -> None:
    registry.fail(Fault("tags/list", status, times=3))
    with open_client(registry) as client:
        assert client.tags() == ("release-1.0.0",)
    assert registry.asked("tags/list") == 4


def test_a_lasting_failure_is_given_up(registry: FakeRegistry) -> None:
    registry.fail(Fault("tags/list", 503, times=100))
    assert "503" in error_of_tags(registry)
    assert registry.asked("tags/list") == 4


def date_in(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "body", "at_least_s"),
    [
        ({"Retry-After": "1"}, b"", 0.9),
        ({}, b"toomanyrequests: retry-after: 300.5ms, allowed: 44000/minute", 0.3),
        ({"Retry-After": "soon"}, b"", 0.0),
    ],
)
def test_a_pause_that_is_asked_for_is_kept(
    registry: FakeRegistry, headers: dict[str, str], body: bytes, at_least_s: float
) -> None:
    registry.fail(Fault("tags/list", 429, headers, body))
    with open_client(registry) as client:
        started = time.monotonic()
        assert client.tags() == ("release-1.0.0",)
        assert at_least_s <= time.monotonic() - started < at_least_s + 8


def test_a_pause_given_as_a_date_is_kept(registry: FakeRegistry) -> None:
    registry.fail(Fault("tags/list", 429, {"Retry-After": date_in(3)}))
    with open_client(registry) as client:
        started = time.monotonic()
        client.tags()
        assert 0.5 < time.monotonic() - started < 10


@pytest.mark.parametrize("headers", [{"Retry-After": "120"}, {"Retry-After": date_in(3600)}])
def test_a_pause_longer_than_the_budget_is_not_waited_for(registry: FakeRegistry, headers: dict[str, str]) -> None:
    registry.fail(Fault("tags/list", 429, headers, times=100))
    started = time.monotonic()
    assert "asks to wait" in error_of_tags(registry)
    assert time.monotonic() - started < 10
    assert registry.asked("tags/list") == 1


def test_silence_is_given_up(registry: FakeRegistry) -> None:
    registry.fail(Fault("tags/list", 200, silence_s=30, times=100))
    started = time.monotonic()
    assert "in time" in error_of_tags(registry, budget_s=0.6)
    assert time.monotonic() - started < 10


def test_a_trickle_is_given_up(registry: FakeRegistry) -> None:
    registry.fail(Fault("tags/list", 200, body=b" " * 1000, silence_s=0.05, trickle=True, times=100))
    started = time.monotonic()
    assert "too slow" in error_of_tags(registry, budget_s=1.5)
    assert time.monotonic() - started < 10


def test_a_body_that_breaks_off_is_read_again(registry: FakeRegistry) -> None:
    registry.fail(Fault("tags/list", 200, body=b'{"tags": [', cut=True, times=2))
    with open_client(registry) as client:
        assert client.tags() == ("release-1.0.0",)


def test_a_registry_that_is_not_there() -> None:
    with FakeRegistry() as registry:
        pass
    assert "cannot be reached" in error_of_tags(registry)


def test_digests_come_by_head(registry: FakeRegistry) -> None:
    with open_client(registry) as client:
        assert client.digest("release-1.0.0") == registry.digest("release-1.0.0")
    assert [(seen.method, seen.path) for seen in registry.requests] == [
        ("HEAD", "/v2/acme/vllm/manifests/release-1.0.0")
    ]


@pytest.mark.parametrize("options", [{"digest_header": False}, {"head": False}])
def test_without_a_header_or_head_the_manifest_is_hashed(options: dict[str, bool]) -> None:
    with FakeRegistry(digest_header=options.get("digest_header", True), head=options.get("head", True)) as registry:
        registry.push("release-1.0.0")
        with open_client(registry) as client:
            assert client.digest("release-1.0.0") == registry.digest("release-1.0.0")
        assert registry.asked("GET /v2/acme/vllm/manifests/") == 1


def test_a_digest_that_is_none_is_not_believed(registry: FakeRegistry) -> None:
    registry.fail(Fault("HEAD", 200, {"Docker-Content-Digest": "sha256:../../x"}))
    with open_client(registry) as client:
        assert client.digest("release-1.0.0") == registry.digest("release-1.0.0")


def test_a_listed_tag_without_a_manifest(registry: FakeRegistry) -> None:
    with open_client(registry) as client, pytest.raises(TagMissingError, match=r"'release-9\.0\.0'.*no manifest"):
        client.digest("release-9.0.0")


def test_one_broken_tag_does_not_hide_the_others(registry: FakeRegistry) -> None:
    registry.push("release-1.1.0")
    registry.fail(Fault("manifests/release-1.1.0", 500, times=100))
    with open_client(registry) as client:
        reading = client.digests(["release-1.1.0", "release-9.9.9", "release-1.0.0"])
    assert reading.digests == {"release-1.0.0": registry.digest("release-1.0.0")}
    assert set(reading.failures) == {"release-1.1.0", "release-9.9.9"}


def test_when_no_digest_can_be_read_the_registry_is_at_fault(registry: FakeRegistry) -> None:
    registry.fail(Fault("manifests/", 500, times=100))
    with open_client(registry) as client, pytest.raises(RegistryError, match="500"):
        client.digests(["release-1.0.0", "release-1.1.0"])


def test_when_the_time_is_up_what_was_read_counts(registry: FakeRegistry) -> None:
    registry.push("release-1.1.0")
    registry.fail(Fault("manifests/release-1.1.0", 200, silence_s=30, times=100))
    with open_client(registry, budget_s=1.5) as client:
        reading = client.digests(["release-1.0.0", "release-1.1.0", "release-1.2.0"])
        assert set(reading.digests) == {"release-1.0.0"}
        assert "release-1.2.0" not in reading.failures
        with pytest.raises(OutOfTimeError):
            client.digests(["release-1.0.0"])


def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FakeRegistry(auth="token", private=True) as registry:
        registry.push("release-1.0.0")
        with open_client(registry, RIGHT) as client:
            client.tags()
            shown = f"{client!r} {client._transport!r} {RIGHT!r} {caplog.text}"
    assert "s3cret" not in shown
    assert "tok-1-secret" not in shown
    assert registry.basic.removeprefix("Basic ") not in shown

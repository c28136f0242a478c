"""Link, WWW-Authenticate and Retry-After, in the forms that registries use and in any other."""

import string
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.releases.headers import Challenge, HeaderError, challenges, next_link, retry_after_s

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
WORDS = st.text(string.ascii_letters + string.digits + "-._", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
TARGETS = st.text(string.ascii_letters + string.digits + "/?&=,;:%.-_", max_size=30)


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('</v2/acme/vllm/tags/list?last=a&n=100>; rel="next"', "/v2/acme/vllm/tags/list?last=a&n=100"),
        ("<https://ghcr.io/v2/x?n=0&last=b>; rel=next", "https://ghcr.io/v2/x?n=0&last=b"),
        ('<a>; rel="prev", <b>;rel="next";title="x"', "b"),
        ('<a>; title="rel=next"; rel=last', None),
        ('<a>; rel="last"; rel="next"', None),
        ("<a>", None),
        ("", None),
    ],
)
def test_next_link(header: str, target: str | None) -> None:
    assert next_link(header) == target


@settings(deadline=None)
@given(
    before=st.lists(st.tuples(TARGETS, st.sampled_from(["prev", "first", "last"])), max_size=3),
    target=TARGETS,
    extra=st.dictionaries(WORDS.filter(lambda word: word.lower() != "rel"), VALUES, max_size=3),
)
def test_the_next_link_is_found_among_others(before: list[tuple[str, str]], target: str, extra: dict[str, str]) -> None:
    links = [f'<{other}>; rel="{relation}"' for other, relation in before]
    params = "".join(f"; {key}={quoted(value)}" for key, value in extra.items())
    assert next_link(", ".join([*links, f"<{target}>{params} ; rel=next"])) == target


@settings(deadline=None)
@given(st.text(max_size=60) | st.text('<>;,="\\ relnxt', max_size=40))
def test_any_link_is_read_or_refused(header: str) -> None:
    try:
        target = next_link(header)
    except HeaderError:
        return
    assert target is None or target in header


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:acme/vllm:pull"',
            [
                (
                    "bearer",
                    {"realm": "https://ghcr.io/token", "service": "ghcr.io", "scope": "repository:acme/vllm:pull"},
                )
            ],
        ),
        ('Basic realm="Registry Realm"', [("basic", {"realm": "Registry Realm"})]),
        ('BEARER Realm=x , error="a, b"', [("bearer", {"realm": "x", "error": "a, b"})]),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Negotiate YWJj==, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("", []),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert list(challenges(header)) == [Challenge(scheme, params) for scheme, params in expected]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(WORDS, st.dictionaries(WORDS.map(str.lower), VALUES, min_size=1, max_size=4)), min_size=1, max_size=3
    )
)
def test_challenges_survive_being_written(offers: list[tuple[str, dict[str, str]]]) -> None:
    header = ", ".join(
        f"{scheme} " + ",".join(f"{key}={quoted(value)}" for key, value in params.items()) for scheme, params in offers
    )
    assert [(offer.scheme, offer.params) for offer in challenges(header)] == [(s.lower(), p) for s, p in offers]


@settings(deadline=None)
@given(st.text(max_size=60) | st.text('Bearlmx=", \\\t', max_size=40))
def test_any_challenge_is_read_or_refused(header: str) -> None:
    try:
        assert all(offer.scheme for offer in challenges(header))
    except HeaderError:
        return


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        ("30", "", 30),
        (" 0 ", "", 0),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), "", 120),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), "", 0),
        ("Sun, 22 Nov 2026 12:00:30 +0200", "", 30),
        (None, "toomanyrequests: retry-after: 1.16676ms, allowed: 44000/minute", 0.00116676),
        (None, "Retry-After: 1m30.5s", 90.5),
        (None, "retry-after: 250µs", 0.00025),
        (None, "retry-after: 2h, allowed", 7200),
        ("later", "retry-after: 2s", 2),
        (None, "too many requests", None),
        (None, "retry-after: -5s", None),
        ("99999999999999999999", "", None),
        ("-1", "", None),
    ],
)
def test_retry_after(header: str | None, body: str, seconds: float | None) -> None:
    assert retry_after_s(header, body, NOW) == (None if seconds is None else pytest.approx(seconds))


@settings(deadline=None)
@given(
    st.none() | st.text(max_size=40) | st.text("0123456789:,-+ SunNovGMT", max_size=40),
    st.text(max_size=40) | st.from_regex(r"retry-after: [0-9.a-zµ]+", fullmatch=True),
)
def test_any_retry_after_is_a_time_or_none(header: str | None, body: str) -> None:
    seconds = retry_after_s(header, body, NOW)
    assert seconds is None or seconds >= 0

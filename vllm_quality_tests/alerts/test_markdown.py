"""Foreign text in a card stays text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.alerts.markdown import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("release-1.4.0", "release-1.4.0"),
        ("a_b *c* [d](e) `f`", "a\\_b \\*c\\* \\[d\\](e) \\`f\\`"),
        ("- item", "\\- item"),
        ("12. item", "12\\. item"),
        ("two\nlines\tand  spaces\x00", "two lines and spaces"),
        ("한국어 🚀", "한국어 🚀"),
        ("abcdefghijkl", "abcdefghi…"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert plain(text, 10 if text == "abcdefghijkl" else 100) == shown


@given(st.text(), st.integers(1, 200))
def test_nothing_special_is_left(text: str, limit: int) -> None:
    shown = plain(text, limit)
    assert len(re.sub(r"\\(.)", r"\1", shown)) <= limit
    assert not re.search(r"[*_`\[\]<>~|#]", re.sub(r"\\.", "", shown))
    shown.encode()

"""One card about many runs: every release is counted, those that are not fine are named, and it always fits."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.alerts.digest import MOST_RUNS, build_digest
from vllm_quality.alerts.elements import MAX_BYTES, encode
from vllm_quality.alerts.notice import Failure, RunNotice
from vllm_quality.verdict.types import Verdict
from vllm_quality_tests.alerts.notices import DUMBER, FAILURE, MENTIONS, REGRESSION, SUCCESS, UNDERPOWERED
from vllm_quality_tests.alerts.reader import check_schema, content, elements, lines

MIXED = (
    *(replace(SUCCESS, model_tag=f"release-{number}") for number in range(46)),
    replace(REGRESSION, model_tag="release-bad"),
    replace(FAILURE, model_tag="release-broken"),
    replace(SUCCESS, model_tag="release-weak", verdict=UNDERPOWERED),
    replace(FAILURE, model_tag="release-stopped", outcome="canceled", failure=None),
)


def test_fifty_releases_in_one_card() -> None:
    message = build_digest(MIXED, MENTIONS, about="Backfill abcdefgh", url="http://dagster:3000/runs/b/abcdefgh")
    text = lines(message)
    assert text[:4] == [
        "✗ 1 worse and 1 failed of 50 releases",
        "Backfill abcdefgh: 1 worse, 1 failed, 1 unclear, 1 canceled, 46 not worse.",
        "<at>LLM-Ops</at> <at>김하나</at>",
        "Release | Verdict | Worst finding",
    ]
    assert text[4] == (
        "[release-bad](https://s3.example.com/reports/release-1.4.0/run-7/report.html) | worse | "
        "basics\\_ko: exact match: 52.2 % → 49.8 % (−2.4 points) (+2 more)"
    )
    assert text[5].startswith("[release-broken](http://dagster:3000/runs/run-7) | failed | serving\\_endpoint: http://")
    assert text[6].endswith("| unclear | Cannot tell: 2 of 3 judged metrics show no loss, "
                            "but could only have shown a larger one.")  # fmt: skip
    assert text[8] == "**Do next** (1 failed): Bring the endpoint up, then re-execute the run from failure."
    assert all(f"release-{number}" in text[-2] for number in range(46))
    assert text[-1] == "[Open these runs](http://dagster:3000/runs/b/abcdefgh)"
    check_schema(message)


@pytest.mark.parametrize(
    ("notices", "title"),
    [
        (MIXED[:2], "✓ None of 2 releases is worse"),
        ((*MIXED[:2], MIXED[48]), "? 1 of 3 releases unclear"),
        ((MIXED[49],) * 2, "■ None of 2 releases is worse"),
    ],
)
def test_nobody_is_called_when_nothing_is_worse_or_failed(notices: tuple[RunNotice, ...], title: str) -> None:
    message = build_digest(notices, MENTIONS, about="Backfill b")
    assert lines(message)[0] == title
    assert "entities" not in content(message)["msteams"]


def test_the_smallest_digest_has_no_table_and_names_the_bad_ones() -> None:
    message = build_digest(MIXED, MENTIONS, about="Backfill b", smallest=True)
    assert not [element for element in elements(content(message)) if element["type"] == "Table"]
    assert "release-bad (worse), release-broken (failed)" in "\n".join(lines(message))


@settings(max_examples=30, deadline=None)
@given(
    runs=st.integers(1, MOST_RUNS),
    bad=st.integers(0, MOST_RUNS),
    letter=st.sampled_from("_a-."),
    text=st.text(st.sampled_from('\\*_"<한🚀'), max_size=40),
)
def test_a_digest_is_never_over_the_limit_and_counts_every_release(runs: int, bad: int, letter: str, text: str) -> None:
    finding = replace(DUMBER, metric=f"eval/{text * 30}/em", reason=text * 90)
    worse = Verdict("worse", (finding,), (), text * 90)
    notices = [
        replace(
            SUCCESS if index % 2 else FAILURE,
            model_tag=f"r{letter * 120}{index}",
            verdict=worse if index < bad else SUCCESS.verdict,
            failure=Failure(text * 10, text * 100, text),
            report_url="https://x.example.com/" + "a" * 900,
        )
        for index in range(runs)
    ]
    people = [(f"{'한' * 100}{index}", f"{'x' * 50}{index}@example.com") for index in range(60)]
    message = build_digest(notices, people, about=text * 60)
    assert len(encode(message)) <= MAX_BYTES
    assert f"of {runs} release" in lines(message)[0]
    assert json.loads(encode(message)) == message

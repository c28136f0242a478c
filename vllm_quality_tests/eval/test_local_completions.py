"""Our loglikelihoods are those that lm-eval's own `local-completions` finds on the same server."""

from collections.abc import Iterator

import pytest

from vllm_quality_tests.benchmarks.eval_throughput import ours, requests_of, theirs
from vllm_quality_tests.servers.instant import instant_server, logprob, tokenize


@pytest.fixture(scope="module")
def instant() -> Iterator[str]:
    with instant_server() as base_url:
        yield base_url


def test_both_find_the_same_likelihoods(instant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    requests = requests_of(12)
    mine = ours(instant, 4)(requests)
    other = theirs(instant, 4, 1)(requests)
    assert [total for total, _ in mine] == pytest.approx([total for total, _ in other])
    assert [greedy for _, greedy in mine] == [greedy for _, greedy in other]
    context, continuation = requests[0].args
    ids, border = tokenize(context + continuation), len(tokenize(context))
    expected = sum(logprob(ids[at - 1], ids[at]) for at in range(border, len(ids)))
    assert mine[0][0] == pytest.approx(expected)

"""The proxy that makes an endpoint worse: what it passes on is whole, and late where it should be."""

import json
import time

import httpx
import pytest

from vllm_quality_tests.detection.proxy import Flaw, flawed, rewritten
from vllm_quality_tests.servers.toy_llm import ToyModel, serve_toy

CHAT = {"messages": [{"role": "user", "content": "x"}], "temperature": 0.0}


def changed(body: object, flaw: Flaw) -> dict[str, object]:
    found: dict[str, object] = json.loads(rewritten(json.dumps(body).encode(), flaw))
    return found


def test_without_a_flaw_a_body_stays_as_it_is() -> None:
    assert rewritten(b'{"prompt" : "a"}', Flaw()) == b'{"prompt" : "a"}'
    assert rewritten(b"", Flaw(rewrite="cut")) == b""


def test_temperature_is_left_on_for_generated_answers_only() -> None:
    assert changed(CHAT, Flaw(rewrite="temperature"))["temperature"] == 1.0
    scored = {"prompt": [[1, 2]], "echo": True, "temperature": 0}
    assert changed(scored, Flaw(rewrite="temperature")) == scored


def test_texts_lose_their_beginning_or_gain_a_token() -> None:
    long = "가" * 50 + "b" * 60
    assert changed({"prompt": long}, Flaw(rewrite="cut")) == {"prompt": "b" * 60}
    assert changed({"prompt": "b"}, Flaw(rewrite="prefix")) == {"prompt": "<|im_end|>b"}
    ids = {"prompt": [[1, 2]]}
    assert changed(ids, Flaw(rewrite="cut")) == changed(ids, Flaw(rewrite="prefix")) == ids


def test_a_foreign_template_goes_with_chats_only() -> None:
    flaw = Flaw(template="{{ 1 }}")
    assert changed(CHAT, flaw) == {**CHAT, "chat_template": "{{ 1 }}"}
    assert changed({"prompt": "b"}, flaw) == {"prompt": "b"}


@pytest.mark.parametrize(
    ("flaw", "least_s"),
    [
        (Flaw(), 0.0),
        (Flaw(slower_s=0.01), 0.2),
        (Flaw(stall_every_s=1000, stall_s=0.2), 0.1),
        (Flaw(at_once=1), 0.0),
    ],
)
def test_an_answer_comes_whole_and_no_sooner_than_its_flaw_says(flaw: Flaw, least_s: float) -> None:
    with serve_toy(ToyModel(itl_s=0.0)) as upstream, flawed(upstream, flaw) as base_url:
        started = time.monotonic()
        body = {"prompt": "x", "max_tokens": 20, "stream": True}
        answer = httpx.post(f"{base_url}/v1/completions", json=body, timeout=30)
        took = time.monotonic() - started
        refused = httpx.get(f"{base_url}/nothing", timeout=30)
    events = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    assert (len(events), events[-1]) == (22, "data: [DONE]")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert took >= least_s
    assert refused.status_code == 404

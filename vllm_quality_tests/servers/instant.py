"""A vLLM that answers at once: /tokenize, /tokenizer_info and echoed logprobs, in a process of its own, for benchmarks.

Tokens are words. A token's logprob is a pure function of itself and the one before it, so that whoever asks for the same
texts gets the same numbers. By hand: `python -m vllm_quality_tests.servers.instant 8000`.
"""

import asyncio
import json
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import uvloop
from httptools import HttpRequestParser

MODEL = "instant"
_WORD = re.compile(r"\s*\S+|\s+")
_STEPS = 997
_LOGPROBS = [repr(-0.05 - step / 250) for step in range(_STEPS)]
_TOPS = [f'{{"token_id:1":{logprob}}}' for logprob in _LOGPROBS]


def tokenize(text: str) -> list[int]:
    """The words of a text as ids."""
    return [zlib.crc32(word.encode()) % 50_000 for word in _WORD.findall(text)]


def logprob(before: int, token: int) -> float:
    """The logprob of a token after another."""
    return -0.05 - ((before * 31 + token * 17) % _STEPS) / 250


@contextmanager
def instant_server() -> Iterator[str]:
    """The server's base URL while the block runs."""
    process = subprocess.Popen([sys.executable, "-m", __name__, "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()  # it has nothing to lose, and a test's library may have left SIGTERM ignored
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _choice(index: int, ids: Sequence[int]) -> str:
    steps = [(before * 31 + token * 17) % _STEPS for before, token in zip(ids, [*ids[1:], 33], strict=True)]
    own = ",".join(["null", *(_LOGPROBS[step] for step in steps)])
    tops = ",".join(["null", *(_TOPS[step] for step in steps)])
    tokens = ",".join(f'"token_id:{token}"' for token in [*ids, 33])
    logprobs = f'{{"tokens":[{tokens}],"token_logprobs":[{own}],"top_logprobs":[{tops}]}}'
    return f'{{"index":{index},"text":"","finish_reason":"length","logprobs":{logprobs}}}'


def _answer(path: str, body: dict[str, Any]) -> str:
    if path == "/tokenize":
        ids = tokenize(body["prompt"])
        return json.dumps({"tokens": ids, "count": len(ids), "max_model_len": 4096})
    if path == "/tokenizer_info":
        return '{"tokenizer_class":"Words","eos_token":"</s>"}'
    if path == "/v1/models":
        return f'{{"object":"list","data":[{{"id":"{MODEL}","max_model_len":4096}}]}}'
    prompt = body["prompt"]
    prompts = prompt if isinstance(prompt[0], list) else [prompt]
    choices = ",".join(_choice(index, ids) for index, ids in enumerate(prompts))
    return f'{{"id":"1","model":"{MODEL}","choices":[{choices}],"usage":{{"prompt_tokens":1,"completion_tokens":1}}}}'


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._parser = HttpRequestParser(self)
        self._path, self._body = "", bytearray()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path = url.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer = _answer(self._path, json.loads(self._body or b"{}")).encode()
        self._body.clear()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        self._transport.write(head.encode() + answer)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=256)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))

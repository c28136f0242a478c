"""How many tokens a text is to a model: asked of its endpoint, or counted with its tokenizer's files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from vllm_quality.datasets.schema import Message
from vllm_quality.load.errors import LoadError
from vllm_quality.load.scenario import Api
from vllm_quality.serving.endpoint import Endpoint, auth_headers

_TOKENIZE_ATTEMPTS = 3

# A prompt's text, or in chat a whole conversation -> tokens of the prompt.
CountTokens = Callable[[str | Sequence[Message]], int]


@contextmanager
def token_counter(endpoint: Endpoint, api: Api, api_key: str | None, timeout_s: float) -> Iterator[CountTokens | None]:
    """Counts a prompt's tokens as the endpoint will, special tokens and chat template included; None if it cannot.

    Asks `POST /tokenize` in vLLM's form. Raises `LoadError` when an endpoint that said it could does not answer: a guess
    in its place would make another tape, comparable to nothing.
    """
    if "tokenize" not in endpoint.capabilities:
        yield None
        return
    url = f"{endpoint.base_url}/tokenize"
    retrying = Retrying(
        stop=stop_after_attempt(_TOKENIZE_ATTEMPTS),
        wait=wait_exponential(multiplier=0.2, max=2),
        retry=retry_if_exception_type(httpx.TransportError),
        reraise=True,
    )
    with httpx.Client(headers=auth_headers(api_key), timeout=timeout_s) as client:

        def count(asked: str | Sequence[Message]) -> int:
            try:
                response = retrying(client.post, url, json={"model": endpoint.model, **_asked(asked, api)})
                return int(response.raise_for_status().json()["count"])
            except httpx.HTTPStatusError as error:
                reason = f"answered {error.response.status_code}"
            except httpx.TransportError as error:
                reason = f"did not answer ({type(error).__name__})"
            except (ValueError, KeyError, TypeError):
                reason = "answered without a count"
            raise LoadError(f"{url} {reason} while prompts were being sized; check the server, then try again.")

        yield count


def _asked(asked: str | Sequence[Message], api: Api) -> dict[str, object]:
    if isinstance(asked, str) and api == "completions":
        return {"prompt": asked}
    messages = [Message("user", asked)] if isinstance(asked, str) else asked
    return {"messages": [{"role": message.role, "content": message.content} for message in messages]}


def folder_counter(path: Path, api: Api = "completions") -> CountTokens:
    """Counts with a tokenizer's files: a tokenizer.json, or a folder that holds one. Needs the package `tokenizers`.

    For completions the tokenizer's special tokens are counted as vLLM adds them. For chat the text of the messages is
    counted and nothing else: what the chat template puts around them is not known here, so prompts come out longer by it.

    Raises `LoadError` when the package is missing or the file is no tokenizer.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file() or file.suffix != ".json":
        raise LoadError(f"{path} is neither a tokenizer.json nor a folder with one; name the model's own folder.")
    try:
        tokenizers = import_module("tokenizers")  # no dependency: most endpoints count for themselves
    except ImportError:
        raise LoadError(
            "Counting tokens with a tokenizer's files needs the package tokenizers; run `pip install tokenizers`, or "
            "leave the tokenizer out: then the endpoint counts where it can."
        ) from None
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises Exception itself
        raise LoadError(f"{file} is no tokenizer that can be read ({str(error)[:100]}); name another.") from None
    special = api == "completions"

    def count(asked: str | Sequence[Message]) -> int:
        texts = [asked] if isinstance(asked, str) else [message.content for message in asked]
        return sum(len(tokenizer.encode(text, add_special_tokens=special).ids) for text in texts)

    return count

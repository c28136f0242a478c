"""Synthetic prompts of a wanted length in tokens, the same for the same seed.

Each prompt is drawn on its own from common words, so that no two begin alike: with some 300 words, two prompts of a run
share a first KV block of 16 tokens with a chance below 1e-30, and no prefix cache answers for the model. (That the same
prompts come again in the next run on a server that is still up is the wire's matter, see `client.Target`.)
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from vllm_quality.load.errors import LoadError
from vllm_quality.load.scenario import Api
from vllm_quality.serving.endpoint import Endpoint, auth_headers

# One token each, with the space before it, in the byte-pair vocabularies of today's models.
_WORDS = tuple(
    """able about above across act add after again age ago air all almost alone along already also always among animal
    answer any area arm art ask away baby back bad ball bank base be bed before begin behind best better big bird black
    blue board boat body book both bottom box boy bread bring brother brown build building bus business busy buy call car
    care carry case cat center change check child city class clean clear clock close cloud coast cold color come common
    control cook cool corner cost country course cover cross cut dark daughter day deal deep desk dinner direct doctor dog
    door down draw dream dress drink drive drop dry each ear early earth east easy eat edge effect eight end energy engine
    enough equal even evening event ever every exact eye face fact fall family far farm fast father feel field fight fill
    final find fine finger fire first fish five floor fly follow food foot force forest form four free friend front fruit
    full game garden gas general girl give glass gold good grand grass great green ground group grow guess hair half hall
    hand happy hard head hear heart heat heavy help high hill history hold hole home hope horse hospital hot hour house
    human hundred ice idea inside island job join jump just keep key kind king kitchen know lake land language large last
    late laugh law lead learn leave left letter level life light line list listen little live local long look love low
    machine main make man map mark market matter maybe measure meat meet middle might milk mind minute money month moon
    morning mother mountain mouth move music name nation near need never new next night nine north note nothing number
    ocean office oil old once open order other outside own page paper part party pass past pattern pay people""".split()  # noqa: SIM905  # 310 quoted words are no easier to read
)
_ADJUSTMENTS = 32  # a byte-pair tokenizer needs one or two; one that takes several tokens for most words, ten
_TOKENIZE_ATTEMPTS = 3

CountTokens = Callable[[str], int]


@dataclass(frozen=True)
class Prompt:
    """One prompt. item: its id, told from its text. tokens: what the endpoint's tokenizer counts, None where not asked."""

    item: str
    text: str
    tokens: int | None


def synthesize(count: int, tokens: int, seed: str, count_tokens: CountTokens | None = None) -> list[Prompt]:
    """`count` distinct prompts of `tokens` tokens each; of `tokens` words each where nothing counts tokens.

    The prompt at a position depends on the seed and the position only. Where the wanted length cannot be met exactly (it
    is below what the chat template alone takes, say), the nearest one found is used and its true length recorded.
    """
    return [_prompt(random.Random(f"{seed}/{index}"), tokens, count_tokens) for index in range(count)]  # noqa: S311


def _prompt(source: random.Random, tokens: int, count_tokens: CountTokens | None) -> Prompt:
    words, counted = source.choices(_WORDS, k=tokens), None
    if count_tokens is not None:
        words, counted = _fit(source, words, tokens, count_tokens)
    text = " ".join(words)
    return Prompt(hashlib.sha256(text.encode()).hexdigest()[:16], text, counted)


def _fit(source: random.Random, words: list[str], tokens: int, count_tokens: CountTokens) -> tuple[list[str], int]:
    """Words drawn or dropped at the end until they count as wanted; with their count, the nearest that was found."""
    counted = count_tokens(" ".join(words))
    best = words, counted
    for _ in range(_ADJUSTMENTS):
        off = tokens - counted
        if off == 0 or (off < 0 and len(words) == 1):
            break
        change = min(tokens, max(1, abs(off) * len(words) // max(1, counted)))
        words = [*words, *source.choices(_WORDS, k=change)] if off > 0 else words[: max(1, len(words) - change)]
        counted = count_tokens(" ".join(words))
        if abs(tokens - counted) < abs(tokens - best[1]):
            best = words, counted
    return best


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

        def count(text: str) -> int:
            asked = {"messages": [{"role": "user", "content": text}]} if api == "chat" else {"prompt": text}
            try:
                response = retrying(client.post, url, json={"model": endpoint.model, **asked})
                return int(response.raise_for_status().json()["count"])
            except httpx.HTTPStatusError as error:
                reason = f"answered {error.response.status_code}"
            except httpx.TransportError as error:
                reason = f"did not answer ({type(error).__name__})"
            except (ValueError, KeyError, TypeError):
                reason = "answered without a count"
            raise LoadError(f"{url} {reason} while prompts were being sized; check the server, then try again.")

        yield count

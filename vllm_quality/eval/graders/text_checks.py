"""Yes or no about a text: OpenAI's string_check, and the plain assertions of Promptfoo (`text_check`)."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from vllm_quality.eval.signals import is_refusal

_REGEX_SECONDS = 2.0
_DEFAULT_DISTANCE = 5  # Promptfoo's
_MOST_STARTS = 2_000  # places at which JSON is looked for in a text


class CheckError(Exception):
    """A check that could not be made: the check is wrong, not the text."""


def string_check(operation: str, text: str, reference: str) -> bool:
    """eq, ne, like (contains), ilike (contains, whatever the case)."""
    match operation:
        case "eq":
            return text == reference
        case "ne":
            return text != reference
        case "like":
            return reference in text
    return reference.casefold() in text.casefold()


def text_check(operation: str, text: str, reference: Any, limit: float | None) -> bool:
    """Whether a text passes. `limit`: the number that a check is held against. Raises `CheckError`."""
    if operation == "levenshtein":
        return _is_near(text, str(reference), _DEFAULT_DISTANCE if limit is None else int(limit))
    return _CHECKS[operation](text, reference)


def json_in(text: str) -> Sequence[Any]:
    """Every JSON object or list that is part of a text, the outermost ones."""
    decoder, found, at = json.JSONDecoder(), [], 0
    for _ in range(_MOST_STARTS):
        starts = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
        if not starts:
            break
        try:
            value, at = decoder.raw_decode(text, min(starts))
            found.append(value)
        except (ValueError, RecursionError):
            at = min(starts) + 1
    return found


def fits(value: Any, schema: Any) -> bool:
    """Whether a JSON value satisfies a JSON schema; any does without one. Raises `CheckError` for a broken schema."""
    return next(misfits(value, schema), None) is None


def misfits(value: Any, schema: Any) -> Iterator[Any]:
    """jsonschema's errors of a value. Raises `CheckError` for a broken schema, and for one that is elsewhere."""
    if schema is None or schema == "":
        return
    from referencing.exceptions import Unresolvable

    try:
        yield from _validator(json.dumps(schema, sort_keys=True)).iter_errors(value)
    except Unresolvable as error:
        raise CheckError(f"the JSON schema cannot be used ({error})") from None


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    from jsonschema import SchemaError, validators
    from jsonschema_specifications import REGISTRY  # jsonschema's own would fetch what a schema refers to

    stored = json.loads(schema)
    kind = validators.validator_for(stored)
    try:
        kind.check_schema(stored)
    except SchemaError as error:
        raise CheckError(f"the JSON schema cannot be used ({error.message[:100]})") from None
    return kind(stored, registry=REGISTRY)


def _regex(text: str, pattern: Any) -> bool:
    import regex

    try:
        return regex.search(str(pattern), text, timeout=_REGEX_SECONDS) is not None
    except regex.error as error:
        raise CheckError(f"{str(pattern)[:60]!r} is no regular expression ({error})") from None
    except TimeoutError:
        raise CheckError(f"{str(pattern)[:60]!r} needs more than {_REGEX_SECONDS:g} s on this text") from None


def _is_json(text: str, schema: Any) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return fits(value, schema)


def _equals_json(text: str, wanted: Any) -> bool:
    try:
        return bool(json.loads(text) == wanted)
    except (ValueError, RecursionError):
        return False


def _is_near(text: str, reference: str, most: int) -> bool:
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(text, reference, score_cutoff=most) <= most


def _word_count(text: str, wanted: Any) -> bool:
    count = len(text.split())
    if isinstance(wanted, Mapping):
        return float(wanted.get("min", 0)) <= count <= float(wanted.get("max", count))
    return count == int(wanted)


def _listed(reference: Any) -> list[str]:
    return [str(part) for part in reference] if isinstance(reference, list | tuple) else [str(reference)]


_CHECKS: Mapping[str, Callable[[str, Any], bool]] = {
    "starts_with": lambda text, reference: text.startswith(str(reference)),
    "regex": _regex,
    "contains_any": lambda text, reference: any(part in text for part in _listed(reference)),
    "contains_all": lambda text, reference: all(part in text for part in _listed(reference)),
    "icontains_any": lambda text, reference: any(part.casefold() in text.casefold() for part in _listed(reference)),
    "icontains_all": lambda text, reference: all(part.casefold() in text.casefold() for part in _listed(reference)),
    "is_json": _is_json,
    "contains_json": lambda text, schema: any(fits(value, schema) for value in json_in(text)),
    "equals_json": _equals_json,
    "word_count": _word_count,
    "is_refusal": lambda text, _: not text.strip() or is_refusal(text),
}

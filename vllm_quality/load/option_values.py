"""What an option's text says: durations, numbers, token counts, limits. Each raises `LoadError`, one sentence."""

import math
import re

from vllm_quality.load.errors import LoadError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(text: str, option: str) -> float:
    """A duration: "90", "300s", "20m", "1h30m", "500ms". Raises `LoadError`."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise LoadError(f"{option} {text!r} is no duration; write it as 300s, 20m, 1h30m or 90.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def positive(text: str, option: str) -> float:
    """As `seconds`, and not 0."""
    length = seconds(text, option)
    if length <= 0:
        raise LoadError(f"{option} {text} is no time at all; give more than 0.")
    return length


def numbers(text: str, option: str) -> list[float]:
    """Numbers between commas. Raises `LoadError`."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise LoadError(f"{option} {text!r} is no list of numbers; write it as 1,2,4,8.")
    return values


def lengths(text: str) -> int | dict[str, float]:
    """Token counts: "128", or mean, std, min and max as "512,128,128,2048". Raises `LoadError`."""
    values = numbers(text, "Token count")
    if len(values) == 1 and values[0] == int(values[0]):
        return int(values[0])
    if len(values) != 4:
        raise LoadError(f"Token count {text!r} is neither one number nor four (mean,std,min,max); correct it.")
    return dict(zip(("mean", "std", "min", "max"), values, strict=True))


def slo(text: str) -> dict[str, float]:
    """Limits in seconds: "ttft=0.5,tpot=50ms,target=0.99". Raises `LoadError`."""
    limits: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name not in ("ttft", "tpot", "itl", "e2e", "target") or name in limits:
            raise LoadError(f"--slo {text!r} is not understood; write it as ttft=0.5,tpot=0.05 (or itl, e2e, target).")
        limits[name] = seconds(value, f"--slo {name}")
    return limits

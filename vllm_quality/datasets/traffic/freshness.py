"""Whether the regression set that evaluations use is still what users ask: its age, and its drift from current traffic."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from vllm_quality.datasets.traffic.drift import Shift, category_shift, numeric_shift
from vllm_quality.datasets.traffic.profile import Profile

MAX_AGE_DAYS, DRIFT_LIMIT = 30, 0.25
FEWEST = 30  # items of either side below which drift is not judged: even a large one could be chance

Outcome = Literal["fine", "stale", "drifted", "unknown"]


@dataclass(frozen=True)
class RegressionSet:
    """A set of role regression in a snapshot. `as_of`: the day whose traffic it was made of, where its description says so."""

    name: str
    as_of: dt.date | None
    profile: Profile


@dataclass(frozen=True)
class Traffic:
    """The last frozen day that held queries."""

    day: dt.date
    profile: Profile


@dataclass(frozen=True)
class Freshness:
    """What the check shows: one sentence and the figures behind it."""

    outcome: Outcome
    sentence: str
    figures: Mapping[str, float | int | str]


def judge_freshness(
    sets: Sequence[RegressionSet],
    traffic: Traffic | None,
    *,
    today: dt.date,
    max_age_days: int = MAX_AGE_DAYS,
    drift_limit: float = DRIFT_LIMIT,
) -> Freshness:
    """Whether the regression sets of a snapshot are fine, too old, drifted from the traffic, or it cannot be told.

    max_age_days  allowed between `today` and the newest set's `as_of`; and the traffic compared with may be as old
    drift_limit   allowed PSI of lengths, languages or turns, all sets together against the traffic, beyond what chance explains
    """
    if not sets:
        return Freshness("unknown", f"The snapshot holds no regression set; {_REMEDY}", {})
    age, by_age = _judge_age(sets, today, max_age_days)
    shifts, by_drift = _judge_drift(sets, traffic, today, max_age_days, drift_limit)
    figures: dict[str, float | int | str] = {"max_age_days": max_age_days, "drift_limit": drift_limit}
    figures |= {"items": sum(one.profile.count for one in sets)}
    figures |= {} if age is None else {"age_days": age}
    figures |= (
        {} if traffic is None else {"traffic_day": traffic.day.isoformat(), "traffic_queries": traffic.profile.count}
    )
    for name, shift in shifts.items():
        figures |= {f"{name}_psi": round(shift.psi, 4), f"{name}_psi_by_chance": round(shift.floor, 4)}
    worst = min((by_age, by_drift), key=lambda part: _ORDER.index(part.outcome))
    said = [part.sentence for part in (by_age, by_drift) if part.outcome == worst.outcome or part.outcome == "drifted"]
    remedy = [f"To renew it, {_REMEDY}"] if worst.outcome in ("stale", "drifted") else []
    return Freshness(worst.outcome, " ".join([*said, *remedy]), figures)


_ORDER: tuple[Outcome, ...] = ("stale", "drifted", "unknown", "fine")
_REMEDY = "make a set of a frozen day with `vllm-quality datasets import NAME --from-queries DAY`."


@dataclass(frozen=True)
class _Part:
    outcome: Outcome
    sentence: str


def _judge_age(sets: Sequence[RegressionSet], today: dt.date, limit: int) -> tuple[int | None, _Part]:
    dated = [one.as_of for one in sets if one.as_of is not None]
    if not dated:
        names = ", ".join(one.name for one in sets)
        return None, _Part(
            "unknown", f"No regression set ({names}) says as_of which day it is; add it to its dataset.yaml."
        )
    age = max(0, (today - max(dated)).days)
    newest = f"The newest regression set is as of {max(dated).isoformat()}, {age} days ago"
    if age > limit:
        return age, _Part("stale", f"{newest}, more than the {limit} allowed.")
    return age, _Part("fine", f"{newest}, within the {limit} allowed.")


def _judge_drift(
    sets: Sequence[RegressionSet], traffic: Traffic | None, today: dt.date, oldest: int, limit: float
) -> tuple[Mapping[str, Shift], _Part]:
    if traffic is None:
        return {}, _Part(
            "unknown", "No day of service queries is frozen, so drift cannot be told; materialize service_queries."
        )
    if (old := (today - traffic.day).days) > oldest:
        text = (
            f"The last frozen day with queries is {traffic.day.isoformat()}, {old} days ago, too long to tell drift by"
        )
        return {}, _Part("unknown", f"{text}; look at the schedule of service_queries.")
    items = sum(one.profile.count for one in sets)
    if min(items, traffic.profile.count) < FEWEST:
        counts = f"{items} regression items and {traffic.profile.count} queries of {traffic.day.isoformat()}"
        return {}, _Part("unknown", f"{counts} are too few to tell drift by; {FEWEST} of each are needed.")
    shifts = _shifts(sets, traffic.profile)
    drifted = [name for name, shift in shifts.items() if shift.beyond(limit)]
    against = f"({items} items against {traffic.profile.count} queries of {traffic.day.isoformat()})"
    listed = ", ".join(f"{name} {shifts[name].psi:.2f}" for name in drifted or shifts)
    if drifted:
        return shifts, _Part(
            "drifted", f"Traffic has drifted from the regression sets: PSI of {listed}, limit {limit:g} {against}."
        )
    return shifts, _Part(
        "fine", f"Traffic has not drifted from them: PSI of {listed}, limit {limit:g} beyond chance {against}."
    )


def _shifts(sets: Sequence[RegressionSet], traffic: Profile) -> Mapping[str, Shift]:
    languages: Counter[str] = Counter()
    for one in sets:
        languages.update(one.profile.languages)
    return {
        "lengths": numeric_shift(list(chain.from_iterable(one.profile.lengths for one in sets)), traffic.lengths),
        "languages": category_shift(languages, traffic.languages),
        "turns": numeric_shift(list(chain.from_iterable(one.profile.turns for one in sets)), traffic.turns),
    }

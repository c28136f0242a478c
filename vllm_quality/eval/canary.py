"""Has the judge itself moved? Two runs' scores of the same frozen answers, compared. Pure."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median

# A judge at temperature 0 differs from itself a little, for its server does not compute alike at every load.
_LEAST_SHIFT = 0.03  # of the mean score
_SURE = 3.29  # standard errors; one in a thousand, both sides
_LARGE = 0.3  # of one answer's score: three points of ten
_LARGE_SHARE = 0.1  # of the answers, beyond what is usual
_FEWEST = 10  # answers in common; with fewer nothing can be told

Scores = Mapping[str, float]  # answer -> score between 0 and 1


def moved_runs(now: Scores, past: Mapping[str, Scores]) -> dict[str, str]:
    """The earlier runs that another judge seems to have judged, each with the reason in words.

    past  run -> scores of its canary, in the order in which the runs were made, by the judge model that `now` is from
    """
    usual = usual_share(list(past.values()))
    found = {run: describe_move(now, then, usual) for run, then in past.items()}
    return {run: reason for run, reason in found.items() if reason is not None}


def describe_move(now: Scores, then: Scores, usual: float = 0.0) -> str | None:
    """How the judge moved between two runs, beyond noise; None when it did not, or nothing can be told.

    usual  share of the answers whose score changes by much between runs of a judge that stays as it is

    It moved when the mean score did, by at least 0.03 and surely (a paired z-test at one in a thousand), or when the scores
    of many answers changed by much, whichever way: by 0.3, of more than a tenth (and at least 3) of the answers.
    """
    common = sorted(now.keys() & then.keys())
    if len(common) < _FEWEST:
        return None
    changes = [now[answer] - then[answer] for answer in common]
    shift, share = fmean(changes), large_share(now, then)
    if abs(shift) >= _LEAST_SHIFT and abs(shift) > _SURE * _stderr(changes):
        return f"the judge moved: its mean score of {len(common)} frozen answers went by {shift:+.2f}"
    large = round(share * len(common))
    if large >= 3 and share > usual + _LARGE_SHARE:
        return f"the judge moved: {large} of {len(common)} frozen answers got another score by {_LARGE:g} or more"
    return None


def large_share(now: Scores, then: Scores) -> float:
    """The share of the answers in common whose score differs by much."""
    common = now.keys() & then.keys()
    return fmean(abs(now[answer] - then[answer]) >= _LARGE - 1e-9 for answer in common) if common else 0.0


def usual_share(history: Sequence[Scores]) -> float:
    """The judge's own unsteadiness: the median of `large_share` between neighbouring runs; one move does not shift it.

    0 where there are fewer than three pairs to tell a move from a habit.
    """
    shares = [large_share(later, earlier) for earlier, later in pairwise(history)]
    return median(shares) if len(shares) >= 3 else 0.0


def _stderr(values: Sequence[float]) -> float:
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) * (len(values) - 1)))

"""Whether a frozen day can be relied on: decided from its manifest and its items alone."""

from collections import Counter
from collections.abc import Iterable, Mapping

from vllm_quality.datasets.judging import Judged, judge_certificate
from vllm_quality.datasets.pii.anonymiser import Anonymiser
from vllm_quality.datasets.schema import Item
from vllm_quality.datasets.traffic.manifest import DayManifest

MOST_UNREADABLE = 0.05  # share of a day's rows


def sample_problem(manifest: DayManifest) -> str | None:
    """What a person should look at before the day stands for the service's traffic; None where there is nothing."""
    counts = manifest.counts
    if not counts.matched:
        return f"{manifest.day} has no query at {manifest.source}; it was frozen as an empty day."
    unreadable = counts.unreadable + counts.unreadable_sampled
    rows = counts.unreadable + counts.repeated + counts.not_matched + counts.matched
    if unreadable > MOST_UNREADABLE * rows:
        first = manifest.left_out[0]
        return f"{unreadable} of {rows} rows could not be read, the first one at {first.file} row {first.line}: {first.why}."
    return " ".join(manifest.alarms) or None


def judge_duplicates(manifest: DayManifest) -> Judged:
    """Whether nearly all near duplicates of the day were found, within it and among earlier days, by its certificate."""
    if manifest.certificate is not None:
        return judge_certificate(manifest.certificate)
    if not manifest.counts.sampled:
        return Judged(True, "The day has no query, so there was nothing to find.")
    return Judged(False, "The day is from before recall was certified; materialize it again.", "warning")


def left_to_find(items: Iterable[Item], anonymiser: Anonymiser) -> Mapping[str, int]:
    """Personal data that the rules still find in anonymised items, by kind."""
    found: Counter[str] = Counter()
    for item in items:
        found.update(anonymiser.item(item)[1])
    return dict(sorted(found.items()))

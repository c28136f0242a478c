"""A day's service queries: read, filtered, sampled, anonymised, deduplicated, frozen. Raw text stays in this process."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from vllm_quality.datasets.dialogue import Question
from vllm_quality.datasets.pii.anonymiser import Anonymiser, build_anonymiser
from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.schema import Item, hash_of_items
from vllm_quality.datasets.traffic.duplicates import TODAY, Unique, without_duplicates
from vllm_quality.datasets.traffic.earlier import days_before
from vllm_quality.datasets.traffic.frozen import FrozenDay, freeze_day
from vllm_quality.datasets.traffic.language import language_of
from vllm_quality.datasets.traffic.manifest import MANIFEST_VERSION, DayCounts, DayManifest, LeftOutRow, Stratum
from vllm_quality.datasets.traffic.profile import profile_of
from vllm_quality.datasets.traffic.record import Record
from vllm_quality.datasets.traffic.sample import Drawn, Sampler
from vllm_quality.datasets.traffic.source import QuerySource, Say, TrafficError, open_source
from vllm_quality.results.objects import ObjectStore
from vllm_quality.settings import PREFIX, Settings

MOST_LEFT_OUT = 1_000
_ALWAYS_KEPT = ("model",)
NO_VALUE = "(none)"  # the stratum of queries without the key


@dataclass(frozen=True)
class Wanted:
    """Which queries are wanted of a day, and how many."""

    day: dt.date
    asked: Mapping[str, str]
    size: int
    stratify: str | None
    seed: int

    def stratum(self, record: Record) -> str:
        """The stratum of a query."""
        return record.facts.get(self.stratify, NO_VALUE) if self.stratify else ""

    @property
    def kept_facts(self) -> tuple[str, ...]:
        """The metadata that a frozen query keeps: the fewest that say what it stands for."""
        return tuple(sorted({*_ALWAYS_KEPT, *self.asked, *([self.stratify] if self.stratify else [])}))


@dataclass
class _Count:
    seen: int = 0
    other_days: int = 0
    unreadable: int = 0
    repeated: int = 0
    not_matched: int = 0
    unreadable_sampled: int = 0
    left_out: list[LeftOutRow] = field(default_factory=list)
    entities: Counter[str] = field(default_factory=Counter)

    def leave_out(self, row: BadRow) -> None:
        if len(self.left_out) < MOST_LEFT_OUT:
            self.left_out.append(LeftOutRow(file=row.file, line=row.line, why=row.why))


def take_day(settings: Settings, day: dt.date, objects: ObjectStore, say: Say) -> FrozenDay:
    """Freeze a UTC day's service queries, as the settings describe them. The same queries give the same hash.

    Raises `TrafficError` when they cannot be read; a day without queries is frozen as one.
    """
    wanted = Wanted(
        day, dict(settings.queries_metadata), settings.queries_sample, settings.queries_stratify, settings.queries_seed
    )
    with closing(open_source(settings, say)) as source:
        work = settings.home / "work"
        index = settings.queries_index.get_secret_value() if settings.queries_index else None
        return freeze_queries(source, wanted, build_anonymiser(settings.pii_key, TODAY), objects, work, say, index)


def freeze_queries(
    source: QuerySource,
    wanted: Wanted,
    anonymiser: Anonymiser,
    objects: ObjectStore,
    work: Path,
    say: Say,
    index: str | None = None,
) -> FrozenDay:
    """See `take_day`. `work`: a folder of this machine, for what need not be done again; `index`: see `earlier_bank`."""
    count = _Count()
    drawn = _draw(source, wanted, count)
    say(f"Read {count.seen} rows, {sum(drawn.matched.values())} queries of {wanted.day}; drew {len(drawn.rows)}")
    items = _anonymised(source, wanted, drawn.rows, anonymiser, count)
    earlier = days_before(objects, wanted.day)
    unique = without_duplicates(objects, items, earlier, work / "queries_bank", wanted.seed, index)
    say(
        f"Kept {len(unique.items)}, {unique.duplicates} were repeated within the day, {unique.known} known of earlier days"
    )
    manifest = _manifest(source, wanted, anonymiser, count, drawn, unique, earlier)
    return freeze_day(objects, manifest, unique.items, unique.pairs)


_Sampled = tuple[Record, Question | None]


def _draw(source: QuerySource, wanted: Wanted, count: _Count) -> Drawn[_Sampled]:
    sampler: Sampler[_Sampled] = Sampler(wanted.size, wanted.seed)
    for found in source.records(wanted.day, wanted.asked):
        count.seen += 1
        try:
            _offer(sampler, source, wanted, found, count)
        except RowError as error:
            count.unreadable += 1
            count.leave_out(BadRow(found.file, found.line, str(error)))
    drawn = sampler.drawn()
    if not drawn.matched and count.unreadable:
        first = count.left_out[0]
        raise TrafficError(
            f"None of the {count.unreadable} rows of {wanted.day} at {source.name} can be read as a query; {first.file} row "
            f"{first.line} {first.why}; check the form of the rows and {PREFIX}QUERIES_URL."
        )
    return drawn


def _offer(
    sampler: Sampler[_Sampled], source: QuerySource, wanted: Wanted, found: Record | BadRow, count: _Count
) -> None:
    if isinstance(found, BadRow):
        raise RowError(found.why)
    if found.moment is None and not source.dated:
        raise RowError("has no time stamp, and its place does not tell the day")
    if found.moment is not None and found.moment.date() != wanted.day:
        count.other_days += 1
        return
    if not found.has(wanted.asked):
        count.not_matched += 1
        return
    # Where queries are at hand, only those that can be read are drawn from.
    question = None if source.costly else source.query(found)
    if not sampler.add(found.identity, wanted.stratum(found), lambda: (found, question)):
        count.repeated += 1


def _anonymised(
    source: QuerySource, wanted: Wanted, drawn: Sequence[_Sampled], anonymiser: Anonymiser, count: _Count
) -> list[Item]:
    items = []
    for record, read in drawn:
        try:
            question = read if read is not None else source.query(record)
        except RowError as error:
            count.unreadable_sampled += 1
            count.leave_out(BadRow(record.file, record.line, str(error)))
            continue
        item, entities = anonymiser.item(_item(wanted, record, question))
        count.entities.update(entities)
        items.append(item)
    if drawn and not items:
        raise TrafficError(
            f"None of the {len(drawn)} sampled completions of {wanted.day} at {source.name} can be read as a query: "
            f"{count.left_out[-1].file} {count.left_out[-1].why}; check what the server stores."
        )
    return items


def _item(wanted: Wanted, record: Record, question: Question) -> Item:
    facts = {name: record.facts[name] for name in wanted.kept_facts if name in record.facts}
    return Item(
        dataset=TODAY,
        language=language_of(question.messages[-1].content),
        role="traffic",
        messages=question.messages,
        reference=None,
        choices=(),
        metadata=Question(question.messages, metadata=facts).metadata_json,
        source_file=record.file,
        source_line=record.line,
    )


def _manifest(
    source: QuerySource,
    wanted: Wanted,
    anonymiser: Anonymiser,
    count: _Count,
    drawn: Drawn[_Sampled],
    unique: Unique,
    earlier: Sequence[FrozenDay],
) -> DayManifest:
    return DayManifest(
        manifest_version=MANIFEST_VERSION,
        day=wanted.day,
        hash=hash_of_items(unique.items),
        counts=DayCounts(
            seen=count.seen,
            other_days=count.other_days,
            unreadable=count.unreadable,
            repeated=count.repeated,
            not_matched=count.not_matched,
            matched=sum(drawn.matched.values()),
            sampled=len(drawn.rows),
            unreadable_sampled=count.unreadable_sampled,
            duplicates=unique.duplicates,
            known=unique.known,
            kept=len(unique.items),
            entities=dict(sorted(count.entities.items())),
        ),
        strata=_strata(drawn, anonymiser) if wanted.stratify else (),
        source=source.name,
        asked=dict(wanted.asked),
        method={
            "sample": f"the {wanted.size} smallest BLAKE2b hashes under seed {wanted.seed}"
            + (f", by {wanted.stratify}" if wanted.stratify else ""),
            "anonymised": dict(anonymiser.about),
            "deduplicated": json.loads(json.dumps(unique.method, default=str)),
        },
        alarms=unique.alarms,
        earlier={frozen.day: frozen.hash for frozen in earlier},
        certificate=unique.certificate,
        profile=profile_of(sorted(unique.asked, key=lambda item: item.exact_form)),
        left_out=tuple(count.left_out),
        frozen_at=dt.datetime.now(dt.UTC),
    )


def _strata(drawn: Drawn[_Sampled], anonymiser: Anonymiser) -> tuple[Stratum, ...]:
    return tuple(
        Stratum(value=anonymiser.text(value)[0], matched=matched, sampled=drawn.sampled[value])
        for value, matched in drawn.matched.items()
    )

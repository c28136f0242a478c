"""A data set on its way into a snapshot: read, sampled, anonymised and spooled, one row at a time.

Nothing but the anonymised items leaves this step. A row that cannot be used is told by its place and reason.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from vllm_quality.datasets.description import DESCRIPTION_FILE, Description
from vllm_quality.datasets.pii.anonymiser import Anonymiser, build_anonymiser
from vllm_quality.datasets.progress import Progress
from vllm_quality.datasets.reading import MOST_QUARANTINED, iterate_set
from vllm_quality.datasets.registry import RegisteredSet
from vllm_quality.datasets.row_file import RowFile
from vllm_quality.datasets.rows import BadRow
from vllm_quality.datasets.sampling import Draw
from vllm_quality.datasets.schema import DatasetError, Item
from vllm_quality.datasets.spool import ItemSpool

_EVERY = 500  # rows between two words of progress


@dataclass
class Intake:
    """What came of a set's rows.

    rows         rows seen
    bad_rows     of those, the ones that cannot be used; listed: the first thousand
    not_sampled  of the others, the ones that were not drawn
    items        the rest
    entities     personal data that were replaced, by kind
    treatment    how personal data were treated (`Anonymiser.about`); empty where they were kept
    """

    rows: int = 0
    bad_rows: int = 0
    not_sampled: int = 0
    items: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    treatment: Mapping[str, str] = field(default_factory=dict)
    listed: list[BadRow] = field(default_factory=list)


def anonymiser_of(name: str, about: Description, key: SecretStr | None) -> Anonymiser | None:
    """What treats a set's personal data, as its description says; None where they are kept."""
    if about.pii_policy == "keep":
        return None
    return build_anonymiser(key if about.pii_policy == "anonymise" else None, name)


def take_in(
    source: RegisteredSet,
    spool: ItemSpool,
    quarantine: RowFile,
    *,
    pii_key: SecretStr | None = None,
    work: Path | None = None,
    progress: Progress | None = None,
) -> Intake:
    """Spool a registered set. Raises `DatasetError` when it holds no row that can be used."""
    intake = take_rows(
        iterate_set(source, work),
        source.name,
        source.description,
        spool,
        quarantine,
        pii_key=pii_key,
        progress=progress,
    )
    if not intake.items:
        example = (
            f"; {intake.listed[0].file} row {intake.listed[0].line} {intake.listed[0].why}" if intake.listed else ""
        )
        raise DatasetError(
            f"Data set {source.name!r} has no row that can be used (of {intake.bad_rows}){example}; "
            f"check its format and columns in {source.where}/{DESCRIPTION_FILE}."
        )
    return intake


def take_rows(
    rows: Iterable[Item | BadRow],
    name: str,
    about: Description,
    spool: ItemSpool,
    quarantine: RowFile,
    *,
    pii_key: SecretStr | None = None,
    progress: Progress | None = None,
) -> Intake:
    """Spool rows as the set `name`; a sample of them where its description asks for one."""
    intake, anonymiser = Intake(), anonymiser_of(name, about, pii_key)
    draw = Draw(about.sample) if about.sample else None
    drawn: dict[int, Mapping[str, int]] = {}  # what was replaced in each row that is drawn as things stand
    if anonymiser is not None:
        intake.treatment = dict(anonymiser.about)
    for found in rows:
        intake.rows += 1
        if progress is not None and intake.rows % _EVERY == 0:
            progress(f"reading {name}", intake.rows, 0)
        if isinstance(found, BadRow):
            _keep_bad_row(found, name, intake, quarantine)
            continue
        # The draw is by the raw content, so that only what is drawn need be anonymised; no hash of it is kept.
        key = draw.key(found.content_hash) if draw else 0
        if draw and not draw.takes(key):
            intake.not_sampled += 1
            continue
        item, entities = (found, {}) if anonymiser is None else anonymiser.item(found)
        position = spool.append(item)
        intake.items += 1
        intake.entities.update(entities)
        if draw:
            drawn[position] = entities
            if (gone := draw.take(key, position)) is not None:
                spool.drop(gone)
                intake.not_sampled += 1
                intake.items -= 1
                intake.entities.subtract(drawn.pop(gone))
    return intake


def _keep_bad_row(row: BadRow, name: str, intake: Intake, quarantine: RowFile) -> None:
    intake.bad_rows += 1
    if len(intake.listed) < MOST_QUARANTINED:
        intake.listed.append(row)
    quarantine.append({"dataset": name, "file": row.file, "line": row.line, "why": row.why}, 200)

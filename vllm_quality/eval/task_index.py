"""Where each of lm-eval's own 14,000 tasks, groups and tags is defined, without parsing 14,000 files.

lm-eval's TaskManager parses every file with its includes before it knows one name. Here the few lines that name a task are
picked out of the text, and the answer is kept per version of lm-eval.
"""

import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vllm_quality.eval.result import hash_of

_KEYS = re.compile(r"""^["']?(task|group|tag|class|include)["']?[ \t]*:[ \t]*(.*?)[ \t]*$""", re.MULTILINE)
_PLAIN = re.compile(
    r"""(?P<quote>["']?)(?P<value>[^\s"'#&*!|>%@`{}\[\],][^"'#{}\[\]]*?)(?P=quote)[ \t]*(?:[ \t]#.*)?"""
)
_SKIPPED = {"__pycache__", ".ipynb_checkpoints"}

Head = Mapping[str, Any]


class BuiltinTasks:
    """lm-eval's own names, as entries that its factory builds tasks from.

    work_folder  where the index is kept between processes; None keeps it nowhere
    """

    def __init__(self, work_folder: Path | None) -> None:
        import lm_eval.tasks

        self._folder = Path(lm_eval.tasks.__file__).parent
        self._kept = None
        if work_folder is not None:
            name = f"{version('lm_eval')}-{hash_of(str(self._folder))[:12]}.json"
            self._kept = work_folder / "lm_eval_tasks" / name

    def entries(self, wanted: str) -> dict[str, Any]:
        """Every entry by name. The files are read again where a kept index does not know the wanted name."""
        kept = self._read()
        if wanted in kept:
            return kept
        found = dict(scan(self._folder))
        self._keep(found)
        return found

    def _read(self) -> dict[str, Any]:
        from lm_eval.tasks._index import Entry, Kind

        try:
            rows = json.loads(self._kept.read_text(encoding="utf-8")) if self._kept else []
            return {
                name: Entry(name, Kind[kind], self._folder / place if place else None, tags=set(tags))
                for name, kind, place, tags in rows
            }
        except (OSError, ValueError, KeyError, TypeError):  # none yet, or not what was written: it can be made again
            return {}

    def _keep(self, entries: Mapping[str, Any]) -> None:
        if self._kept is None:
            return
        rows = [
            [
                name,
                entry.kind.name,
                entry.yaml_path and str(entry.yaml_path.relative_to(self._folder)),
                sorted(entry.tags),
            ]
            for name, entry in entries.items()
        ]
        unfinished = self._kept.with_name(f".{uuid.uuid4().hex}")
        with suppress(OSError):  # without room for it the next process pays again
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(rows), encoding="utf-8")
            unfinished.replace(self._kept)


def scan(folder: Path) -> Iterator[tuple[str, Any]]:
    """Name and entry of everything that the files of a folder define, as lm-eval's own index has it (0.4.13).

    A name that is defined twice belongs to the first file in the order of paths; a file that cannot be read defines nothing.
    """
    from lm_eval.tasks._index import Entry, Kind

    found: dict[str, Any] = {}
    heads: dict[Path, Head] = {}
    for path in sorted(_yaml_files(folder), key=lambda path: path.as_posix()):
        try:
            head = _head(path, heads, ())
        except Exception:  # noqa: S112  # whatever is wrong with a file, lm-eval passes over it, too
            continue
        kind = Kind.PY_TASK if "class" in head else Kind.GROUP if "group" in head else Kind.TASK
        name = head.get("group" if kind is Kind.GROUP else "task")
        if not isinstance(name, str) or name in found:
            continue
        tags = head.get("tag") or []
        tags = [tags] if isinstance(tags, str) else tags
        found[name] = Entry(name, kind, path, tags=set(tags))
        for tag in tags if kind is not Kind.GROUP else ():
            found.setdefault(tag, Entry(tag, Kind.TAG, None, tags=set())).tags.add(name)
    yield from found.items()


def _yaml_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        yield from (Path(place, name) for name in names if name.endswith(".yaml"))


def _head(path: Path, heads: dict[Path, Head], including: tuple[Path, ...]) -> Head:
    """The lines of a file, and of what it includes, that say what it defines."""
    if path in heads:
        return heads[path]
    if path in including:
        raise ValueError(f"{path} includes itself")
    own = dict(_own_head(path))
    merged: dict[str, Any] = {}
    includes = own.pop("include", [])
    for include in includes if isinstance(includes, list) else [includes]:
        merged |= _head(Path(os.path.normpath(path.parent / include)), heads, (*including, path))
    heads[path] = merged | own
    return heads[path]


def _own_head(path: Path) -> Head:
    found: dict[str, Any] = {}
    text = path.read_text(encoding="utf-8")
    for key, written in _KEYS.findall(text):
        plain = _PLAIN.fullmatch(written)
        if plain is None and key not in ("class", "task"):
            return _parsed(path)
        found[key] = plain["value"] if plain else None
    if "task" in found and found["task"] is None and "group" not in found:
        return _parsed(path)
    return found


def _parsed(path: Path) -> Head:
    from lm_eval.tasks._yaml_loader import load_yaml

    parsed = load_yaml(path, resolve_func=False, recursive=False)
    return {key: parsed[key] for key in ("task", "group", "tag", "class", "include") if key in parsed}

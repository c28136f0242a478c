"""The evals that there are: files in `configs/evals/`, the operator's and the packaged ones.

Every file there is an asset and part of each evaluation, unless it says `"optional": true`: those run where the setting
`EVALS` names them. The packaged example is optional, so evaluations do not grow by themselves; a file of the operator's own
is not, unless it says so. A file of the operator's wins over a packaged one of the same name.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from vllm_quality.eval.evals.load import SUFFIXES, load_plan, name_of, read_stored
from vllm_quality.eval.evals.plan import EvalError
from vllm_quality.settings import PREFIX, Settings

FOLDER = "evals"


@dataclass(frozen=True)
class CatalogEntry:
    """One eval's file.

    packaged  came with vllm_quality
    optional  runs only where the settings name it
    """

    name: str
    path: Path
    packaged: bool
    optional: bool

    @property
    def asset_name(self) -> str:
        """The key of the eval's asset."""
        return f"eval_{self.name}"

    @property
    def step(self) -> str:
        """The eval's step: what its metric paths begin with."""
        return f"eval/{self.name}"


def list_evals(settings: Settings) -> list[CatalogEntry]:
    """Every eval, by name. Raises `EvalError` for a file that cannot be read, or two of the same name."""
    found: dict[str, CatalogEntry] = {}
    folders = [(Path(str(files("vllm_quality"))) / "configs" / FOLDER, True)]
    if settings.config_dir is not None:
        folders.append((settings.config_dir / FOLDER, False))
    for folder, packaged in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() not in SUFFIXES:
                continue
            name = name_of(path)
            if name in found and found[name].packaged == packaged:
                raise EvalError(
                    f"{path} and {found[name].path} make evals of the same name {name!r}; rename one of them."
                )
            found[name] = CatalogEntry(name, path, packaged, bool(read_stored(path).get("optional", False)))
    return [found[name] for name in sorted(found)]


def chosen_evals(settings: Settings) -> list[CatalogEntry]:
    """The evals that are part of an evaluation. Raises `EvalError`."""
    every = {entry.name: entry for entry in list_evals(settings)}
    if settings.evals is None:
        return [entry for entry in every.values() if not entry.optional]
    if settings.evals == ("all",):
        return list(every.values())
    for name in settings.evals:
        if name not in every:
            raise EvalError(f"{PREFIX}EVALS names {name!r}, and there is no such eval; there are: {', '.join(every)}.")
    return [every[name] for name in dict.fromkeys(settings.evals)]


def needs_of(entry: CatalogEntry) -> tuple[int, list[str]]:
    """How many rows an eval has, and what it needs. Raises `EvalError` where its file cannot be used."""
    plan = load_plan(entry.path)
    return len(plan.rows), plan.needs

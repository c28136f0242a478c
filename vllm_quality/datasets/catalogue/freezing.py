"""`vllm-quality datasets freeze`."""

from rich.console import Console

from vllm_quality.datasets.catalogue.showing import print_manifest
from vllm_quality.datasets.freeze import Freezing, build_snapshot
from vllm_quality.datasets.judging import judge_recall
from vllm_quality.datasets.progress import progress_bars
from vllm_quality.datasets.registry import find_sets
from vllm_quality.results.objects import open_objects
from vllm_quality.settings import Settings


def run_freeze(settings: Settings, console: Console) -> int:
    """Freeze all registered sets and print the snapshot. 0, or 2 where its certificate says that duplicates were missed."""
    objects = open_objects(settings)
    with progress_bars(console) as progress:
        how = Freezing(work=settings.home / "work" / "spool", pii_key=settings.pii_key, progress=progress)
        snapshot = build_snapshot(find_sets(settings, objects), objects, how)
    print_manifest(snapshot.manifest, objects, console)
    if not snapshot.is_new:
        console.print("\nThese very items were frozen before; nothing was written.")
    recall = judge_recall(snapshot.manifest)
    return 0 if recall.passed or recall.severity == "warning" else 2

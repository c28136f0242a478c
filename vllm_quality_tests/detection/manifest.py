"""What was recorded, for people: `recorded/manifest.json`.

python -m vllm_quality_tests.detection.manifest
"""

import json
from pathlib import Path
from typing import Any

from vllm_quality_tests.detection.recordings import RECORDED, Items, Release, load_items, load_recordings, load_releases


def manifest(folder: Path = RECORDED) -> dict[str, Any]:
    """Models, versions, machine and dates; each release's parameters and accuracies; each load run's figures."""
    items, releases, runs = load_items(folder), load_releases(folder), load_recordings(folder)
    return {
        "suites": {
            suite: {"language": own.language, "metric": own.metric, "items": len(own.names)}
            for suite, own in items.items()
        },
        "releases": {
            each.name: {
                "expected": each.expected,
                "kind": each.kind,
                "parameters": each.parameters,
                "accuracy": _accuracies(each, items),
                "about": each.about,
            }
            for each in releases
        },
        "load": {
            run.name: {
                "expected": run.expected,
                "kind": run.kind,
                "requests": len(run.outcome),
                "problem": run.problem,
                "about": run.about,
            }
            for run in runs
        },
    }


def save_manifest(folder: Path = RECORDED) -> None:
    """Write it."""
    text = json.dumps(manifest(folder), ensure_ascii=False, indent=1)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _accuracies(release: Release, items: dict[str, Items]) -> dict[str, float]:
    found = {}
    for suite, run in release.suites.items():
        known = [score for score in run.scores[items[suite].metric] if score is not None]
        found[suite] = round(sum(known) / max(1, len(known)), 4)
    return found


if __name__ == "__main__":
    save_manifest()

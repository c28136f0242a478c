"""The demo: a small real model, three releases of it, the last one really degraded. Nothing to set up, nothing simulated."""

import os
import time
from collections import Counter
from dataclasses import dataclass, replace
from importlib.resources import files

from rich.console import Console
from rich.rule import Rule

from vllm_quality.serving.demo_model import fetch_demo_model
from vllm_quality.serving.llama import LlamaOptions, serve
from vllm_quality.settings import PREFIX, Settings, load_settings

# Llama 2's template, on a model that was trained on another: a mistake that is made in earnest.
WRONG_TEMPLATE = "{% for message in messages %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endfor %}"
SLOW_SHARE = 0.3


@dataclass(frozen=True)
class DemoRelease:
    """One release of the demo, what is true of it, and the verdicts that it may get."""

    tag: str
    story: str
    expected: tuple[str, ...]
    chat_template: str | None = None
    run_share: float = 1.0


RELEASES = (
    DemoRelease("release-demo-0", "the release before: its figures are the history", ("no_baseline", "pass")),
    DemoRelease("release-demo-1", "the same model again: not worse", ("pass", "better")),
    DemoRelease(
        "release-demo-2",
        f"really degraded: a wrong chat template, and {SLOW_SHARE:.0%} of the CPU time",
        ("worse",),
        WRONG_TEMPLATE,
        SLOW_SHARE,
    ),
)


def run_demo(console: Console) -> int:
    """Evaluate the demo's releases one after another; 0 when each got the verdict it deserves, else 2."""
    started = time.monotonic()
    packaged = files("vllm_quality") / "configs" / "demo"
    os.environ.setdefault(f"{PREFIX}CONFIG_DIR", str(packaged))
    os.environ.setdefault(f"{PREFIX}DATASETS_DIR", str(packaged / "datasets"))
    os.environ[f"{PREFIX}HARDWARE"] = "demo on this machine"
    settings = load_settings()
    with console.status("Fetching the model (98 MB, once) …"):
        model = fetch_demo_model(settings)
    verdicts = {release.tag: _evaluate(console, release, LlamaOptions(model=model)) for release in RELEASES}
    console.print(Rule("What you saw"))
    for release in RELEASES:
        got = verdicts[release.tag] or "failed"
        console.print(f"{release.tag}  [bold]{got.replace('_', ' ')}[/]  ({release.story})")
    console.print(_data_in_words(settings), soft_wrap=True)
    console.print(f"\nCards, as Teams would get them: {settings.home / 'outbox'}", soft_wrap=True)
    # The address of a results server may hold a password.
    results = f"in the database of {PREFIX}RESULTS_URL" if settings.results_url else settings.results
    console.print(f"Results ({results}) and files ({settings.objects}) stay there.", soft_wrap=True)
    console.print("All of it in Dagster's UI, with lineage and plots by release: [bold]vllm-quality ui[/]")
    console.print(f"{time.monotonic() - started:.0f} s in all.")
    surprising = [release.tag for release in RELEASES if verdicts[release.tag] not in release.expected]
    if surprising:
        console.print(f"[red]Not the verdict that was due: {', '.join(surprising)}.[/] Was the machine busy?")
    return 2 if surprising else 0


def _data_in_words(settings: Settings) -> str:
    """What became of the evaluation data, of which the snapshot's manifest has every row."""
    from vllm_quality.datasets.snapshot import read_manifest
    from vllm_quality.results.database import ResultStore
    from vllm_quality.results.objects import open_objects

    last = ResultStore(settings.results).runs(limit=1)
    if not last:
        return ""
    manifest = read_manifest(open_objects(settings), last[0].snapshot_hash)
    entities: Counter[str] = Counter()
    for entry in manifest.sets.values():
        entities.update(entry.entities)
    replaced = ", ".join(f"{count} {kind}" for kind, count in sorted(entities.items())) or "none"
    held_back = sum(entry.counts.held_back for entry in manifest.sets.values())
    return (
        f"\nData: {manifest.items} items of {len(manifest.sets)} sets; {manifest.removed} duplicates removed, {held_back} kept "
        f"since they differ in a number or a negation; personal data replaced: {replaced}."
    )


def _evaluate(console: Console, release: DemoRelease, options: LlamaOptions) -> str | None:
    from vllm_quality.terminal import watch_evaluation

    console.print(Rule(f"{release.tag}: {release.story}"))
    served = replace(options, chat_template=release.chat_template, run_share=release.run_share)
    with serve(served) as base_url:
        evaluation = watch_evaluation(console, release.tag, {"base_url": base_url, "profile": "smoke"})
    return None if evaluation.verdict is None or evaluation.error else evaluation.verdict.status

"""`vllm-quality judge calibrate` in the terminal: a table or JSON, and the exit code."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vllm_quality.eval.judge import JudgeSettingsError, judge_settings
from vllm_quality.eval.judge_calibration import Agreement, Calibration, calibrate
from vllm_quality.eval.labelled import PACKAGED_LABELS, load_labels
from vllm_quality.settings import PREFIX, load_settings


def report_calibration(console: Console, labels: Path | None, *, min_kappa: float, as_json: bool) -> int:
    """Calibrate the configured judge and print what came of it; 0, or 1 where kappa is under `min_kappa`.

    Raises `UserError`s: no judge, unusable labels, nothing to be said.
    """
    settings = load_settings()
    judge = judge_settings(settings)
    if judge is None:
        raise JudgeSettingsError(f"No judge is set; set {PREFIX}JUDGE_URL and {PREFIX}JUDGE_MODEL.")
    path = labels or PACKAGED_LABELS
    calibration = calibrate(
        judge,
        load_labels(path),
        labels=path,
        concurrency=settings.eval_concurrency,
        timeout_s=settings.request_timeout_s,
        work_folder=settings.home / "work",
    )
    kappa = calibration.all.kappa.value
    enough = kappa is not None and kappa >= min_kappa
    if as_json:
        # Not through the console, which would wrap lines.
        told = {**calibration.as_json(), "min_kappa": min_kappa, "passed": enough}
        print(json.dumps(told, ensure_ascii=False, indent=1), file=console.file)
    else:
        _print(console, calibration)
        told_kappa = f"kappa {'–' if kappa is None else f'{kappa:.2f}'}"
        verdict = "agrees with the labels" if enough else "does not agree enough with the labels"
        console.print(f"{calibration.judge} {verdict}: {told_kappa}, wanted at least {min_kappa:g}.", markup=False)
    return 0 if enough else 1


def _print(console: Console, found: Calibration) -> None:
    table = Table(title=f"Judge {found.judge} on {Path(found.labels).name}", caption="95 % intervals by bootstrap")
    for name in ("", "answers", "kappa", "accuracy", "score − label"):
        table.add_column(name, justify="right" if name else "left")
    rows: list[tuple[str, Agreement]] = [("all", found.all), *found.languages.items()]
    for name, own in rows:
        table.add_row(name, str(own.answers), str(own.kappa), str(own.accuracy), str(own.mean_error))
    console.print(table)
    position = found.position
    if position.pairs:
        console.print(
            f"Position: of {position.pairs} pairs shown in both orders the winner is the same in {position.consistent}; "
            f"{position.first} of the choices fell on the first answer (0.50 is no bias), {position.right} on the right one."
        )
    if found.length_bias.value is not None:
        console.print(f"Length: the error of the score and the length correlate by {found.length_bias} (0 is no bias).")
    if found.judge_errors:
        console.print(f"The judge failed at {found.judge_errors} judgements, which are left out.")

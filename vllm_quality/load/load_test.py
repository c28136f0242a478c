"""`vllm-quality load-test`: from what was typed to a measured endpoint and its files."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from vllm_quality.load.errors import LoadError
from vllm_quality.load.option_scenario import scenario_from_options, validated, with_limits
from vllm_quality.load.options import LoadTestOptions, chosen_load
from vllm_quality.load.output.live import live_view
from vllm_quality.load.output.save import SCENARIO, TAPE, default_folder, prepare_folder, save_run, upload
from vllm_quality.load.output.table import print_result
from vllm_quality.load.result import LoadResult
from vllm_quality.load.run import run_scenario
from vllm_quality.load.scenario import Scenario, with_conversations
from vllm_quality.serving.endpoint import Endpoint, identify, resolve_base_url
from vllm_quality.settings import Settings, load_settings

MEASURED, NOT_MEASURED, STOPPED = 0, 2, 130
_WORK = ".run"


@dataclass(frozen=True)
class _Plan:
    """What is to be played, where, and what becomes of the results.

    destinations  where the reports are copied to: (address, S3 server where it is not the settings' own)
    """

    scenario: Scenario
    base_url: str | None
    model: str | None
    api_key: str | None = field(repr=False)
    workers: int
    tokenizer: Path | None
    tape: Path | None
    folder: Path
    destinations: tuple[tuple[str, str | None], ...]
    notices: tuple[str, ...]


def load_test(options: LoadTestOptions, console: Console) -> int:
    """Measure an endpoint as the options say, print and write what was found; the exit code.

    0    measured; a result that is not to be trusted says so loudly and is marked in summary.json
    2    no request succeeded, or the upload failed (the files stay)
    130  ended by Ctrl-C, after writing the report of what was measured

    Raises `LoadError` (and other `UserError`s) when nothing can be measured.
    """
    given = {"base_url": options.base_url, "model": options.model}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    plan = _plan(options, settings)
    if plan.base_url is None or "{tag}" in plan.base_url:
        raise LoadError("No endpoint is given; use --base-url, such as --base-url http://127.0.0.1:8000.")
    prepare_folder(plan.folder)
    for notice in plan.notices:
        console.print(Text(notice, "dim"), soft_wrap=True)
    base_url = resolve_base_url(plan.base_url, "")
    endpoint = identify(base_url, plan.model, plan.api_key, settings.request_timeout_s)
    scenario = plan.scenario
    if (
        options.api is None
        and scenario.profile == "custom"
        and plan.tape is None
        and "completions" not in endpoint.capabilities
    ):
        # Nobody asked for an API by name: the one that answers is taken.
        scenario = scenario.model_copy(update={"api": "chat"})
    result, files = measure(
        scenario,
        endpoint,
        plan.api_key,
        plan.folder,
        console,
        hardware=settings.hardware,
        workers=plan.workers,
        tokenizer=plan.tokenizer,
        tape=plan.tape,
        calibrate=options.calibration,
        keep_tape=options.save_tape,
    )
    print_result(console, result, files)
    uploaded = [_uploaded(plan.folder, *place, console) for place in plan.destinations]
    if result.interrupted:
        return STOPPED
    return MEASURED if any(result.requests["outcome"] == "ok") and all(uploaded) else NOT_MEASURED


def measure(
    scenario: Scenario,
    endpoint: Endpoint,
    api_key: str | None,
    folder: Path,
    console: Console,
    *,
    hardware: str = "unknown",
    workers: int = 1,
    tokenizer: Path | None = None,
    tape: Path | None = None,
    calibrate: bool = True,
    keep_tape: bool = True,
) -> tuple[LoadResult, list[Path]]:
    """Run a scenario under a live view, and write its files to the folder; the result and the files."""
    work = folder / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with live_view(console) as show:
            result = run_scenario(
                scenario,
                endpoint,
                api_key,
                hardware=hardware,
                workers=workers,
                tokenizer=tokenizer,
                tape=tape,
                calibrate=calibrate,
                folder=work,
                on_progress=show,
            )
        if tape is None and keep_tape and (work / "tape").is_dir():
            shutil.rmtree(folder / TAPE, ignore_errors=True)
            (work / "tape").rename(folder / TAPE)
            tape = folder / TAPE
        return result, save_run(result, folder, tape=tape)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _plan(options: LoadTestOptions, settings: Settings) -> _Plan:
    load = chosen_load(options)
    if load == "config" and options.config is not None:
        return _from_config(options, options.config, settings)
    folder = options.output or default_folder()
    tape = _tape_folder(options.tape) if options.tape is not None else None
    if tape is not None:
        if folder.resolve() in (tape.resolve(), tape.resolve().parent):
            raise LoadError(f"{folder} holds the tape that is to be replayed; give another folder with --output.")
        scenario = with_limits(_taped_scenario(tape), options)
    else:
        scenario = scenario_from_options(options, settings.config_file("scenarios.yaml"), settings.profile)
        if load == "scenario" and options.data is None:
            scenario = with_conversations(scenario, settings.conversations)
    return _Plan(
        scenario=scenario,
        base_url=settings.base_url,
        model=settings.model,
        api_key=settings.endpoint_key,
        workers=options.workers or settings.load_workers,
        tokenizer=options.tokenizer,
        tape=tape,
        folder=folder,
        destinations=((options.upload, settings.s3_endpoint),) if options.upload else (),
        notices=(),
    )


def _from_config(options: LoadTestOptions, config: Path, settings: Settings) -> _Plan:
    """An inference-perf configuration as it is; address, model, workers, tokenizer and places typed win over its own."""
    from vllm_quality.load.inference_perf import read_inference_perf

    run = read_inference_perf(config)
    own = [place for place in run.destinations if place.url.startswith("file://")]
    folder = Path(own[0].url.removeprefix("file://")) if own else default_folder()
    bucket = [(place.url, place.endpoint_url or settings.s3_endpoint) for place in run.destinations if place not in own]
    return _Plan(
        scenario=run.scenario if options.seed is None else run.scenario.model_copy(update={"seed": options.seed}),
        base_url=options.base_url or run.base_url,
        model=options.model or run.model or settings.model,
        api_key=settings.endpoint_key or run.api_key,
        workers=options.workers or run.workers,
        tokenizer=options.tokenizer or run.tokenizer,
        tape=None,
        folder=options.output or folder,
        destinations=((options.upload, settings.s3_endpoint),) if options.upload else tuple(bucket),
        notices=(*run.notices, *run.ignored),
    )


def _tape_folder(given: Path) -> Path:
    """The tape in a folder: itself, or the one that a run left in it."""
    return given / TAPE if (given / TAPE / "head.json").is_file() else given


def _taped_scenario(tape: Path) -> Scenario:
    path = tape / SCENARIO
    try:
        return validated(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise LoadError(f"{path} cannot be read ({error.strerror}); give the folder of a load test's tape.") from None
    except ValueError as error:
        raise LoadError(
            f"{path} is not the scenario of a tape ({error}); give the folder of a load test's tape."
        ) from None


def _uploaded(folder: Path, destination: str, s3_endpoint: str | None, console: Console) -> bool:
    try:
        console.print(Text(f"Uploaded: {upload(folder, destination, s3_endpoint)}"), soft_wrap=True)
    except LoadError as error:
        console.print(Text(str(error), "red"), soft_wrap=True)
        return False
    return True

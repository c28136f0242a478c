"""Record the load runs: one real vLLM behind a proxy, the same tape for all.

    nice python -m vllm_quality_tests.detection.record_load [--only NAME …] [--again]

About a minute a run. Nothing else should run on the machine: what other programs take shows as scatter of the good runs.
"""

import argparse
import os
import signal
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

from vllm_quality.load.run import run_scenario
from vllm_quality.serving.endpoint import identify
from vllm_quality_tests.detection.load_variants import LOAD_VARIANTS, SCENARIO, LoadVariant
from vllm_quality_tests.detection.manifest import save_manifest
from vllm_quality_tests.detection.proxy import flawed
from vllm_quality_tests.detection.recordings import CLOCKS, RECORDED, LoadRun, save_load
from vllm_quality_tests.detection.serving import MODEL, Server, server_of
from vllm_quality_tests.detection.variants import Variant
from vllm_quality_tests.live.cache import say

_SERVED = Variant("load", "good", "the model as it is")


def record(variant: LoadVariant, upstream: str) -> LoadRun:
    """Play the tape to the endpoint as the variant has it."""
    with flawed(upstream, variant.flaw) as base_url:
        endpoint = identify(base_url, None, None, 120)
        result = run_scenario(SCENARIO, endpoint, None, calibrate=False)
    requests = result.requests.sort("request_index")
    columns = {
        name: [None if value is None else round(value, 4) for value in requests[name].to_list()] for name in CLOCKS
    }
    return LoadRun(
        name=variant.name,
        expected=variant.expected,
        kind=variant.kind,
        about={
            "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": MODEL,
            "vllm": endpoint.engine_version,
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "tape": result.tape_sha256,
        },
        outcome=requests["outcome"].to_list(),
        output_tokens=requests["output_tokens"].to_list(),
        clocks=columns,
        metrics={name: round(value, 6) for name, value in result.metrics.items()},
        problem=result.problem,
    )


def main() -> None:
    """Record what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [variant.name for variant in LOAD_VARIANTS]
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME")
    parser.add_argument("--at", help="a vLLM that runs already, started as `serving.py` does it")
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which stops the server, too
    wanted = [variant for variant in LOAD_VARIANTS if not given.only or variant.name in given.only]
    wanted = [each for each in wanted if given.again or not (RECORDED / f"{each.name}.json.gz").is_file()]
    with nullcontext(Server(given.at, Path())) if given.at else server_of(_SERVED) as server:
        for variant in wanted:
            run = record(variant, server.url)
            save_load(run)
            save_manifest()
            told = {name.rpartition("/")[2]: value for name, value in run.metrics.items() if "_p50_" in name}
            say(f"{variant.name}: {len(run.outcome)} requests, {told}, {run.problem or 'sound'}")


if __name__ == "__main__":
    main()

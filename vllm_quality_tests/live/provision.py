"""Set up what the live tier needs, ahead of its first test: each part once, into a cache.

    python -m vllm_quality_tests.live.provision [vllm] [registry] [s3] [helm] [benchmarks] | all

Exits 1 when a part cannot be had; the reason is printed, and its tests will be skipped with the same reason.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence

from vllm_quality_tests.live.benchmark_rows import ensure_benchmarks
from vllm_quality_tests.live.cache import Unavailable, cache_folder, say
from vllm_quality_tests.live.models import ensure_models
from vllm_quality_tests.live.programs import ensure_helm, ensure_registry, ensure_s3

PARTS: Mapping[str, Callable[[], object]] = {
    "vllm": ensure_models,
    "registry": ensure_registry,
    "s3": ensure_s3,
    "helm": ensure_helm,
    "benchmarks": ensure_benchmarks,
}


def provision(parts: Sequence[str]) -> bool:
    """Set up the parts; whether all can be had."""
    say(f"cache: {cache_folder()}")
    complete = True
    for part in parts:
        started = time.monotonic()
        try:
            PARTS[part]()
            say(f"{part}: ready ({time.monotonic() - started:.1f} s)")
        except Unavailable as reason:
            complete = False
            say(f"{part}: cannot be had ({time.monotonic() - started:.1f} s): {reason}")
    return complete


def main(arguments: Sequence[str]) -> int:
    wanted = [part for part in arguments if part != "all"]
    unknown = sorted(set(wanted) - PARTS.keys())
    if unknown:
        print(f"There is no part {', '.join(unknown)}; there are {', '.join(PARTS)} and all.", file=sys.stderr)
        return 2
    return 0 if provision(wanted if wanted and "all" not in arguments else list(PARTS)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

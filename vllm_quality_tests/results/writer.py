"""A process that writes results one metric at a time and says each time when it is stored: `writer.py URL RUN COUNT`."""

import sys

from vllm_quality.results.database import ResultStore
from vllm_quality_tests.results.samples import result_rows


def main() -> None:
    url, run_id, count = sys.argv[1:]
    store = ResultStore(url)
    for number in range(int(count)):
        store.write_results(result_rows(run_id, {f"m{number}": float(number), "shared": 1.0}))
        print(number, flush=True)


if __name__ == "__main__":
    main()

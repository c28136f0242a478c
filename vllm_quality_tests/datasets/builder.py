"""A process that builds a snapshot and says how far it is, for tests that kill it.

python -m vllm_quality_tests.datasets.builder SETS OBJECTS WORK [STOP]: prints each step it comes to, and stops for good at the
step STOP; without it, prints the hash at the end.
"""

import sys
import time
from pathlib import Path

from vllm_quality.datasets.freeze import Freezing, build_snapshot
from vllm_quality.datasets.registry import read_set_folder
from vllm_quality.results.objects import FileObjects


class TellingObjects(FileObjects):
    """A folder of objects that says what is written."""

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> bool:
        reach(f"before {Path(key).name}")
        done = super().put(key, data, content_type)
        reach(f"after {Path(key).name}")
        return done

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> bool:
        name = "set.parquet" if key.startswith("datasets/") else Path(key).name
        reach(f"before {name}")
        done = super().put_file(key, path, content_type)
        reach(f"after {name}")
        return done


def reach(step: str) -> None:
    """Say that a step is reached; stop there when told so."""
    print(step, flush=True)
    if sys.argv[4:] == [step]:
        time.sleep(600)


def main() -> None:
    """Build the sets of a folder."""
    sets, objects, work = (Path(part) for part in sys.argv[1:4])
    freezing = Freezing(work=work, by="test", progress=lambda stage, _done, _of: reach(stage))
    folders = [read_set_folder(folder) for folder in sorted(sets.iterdir())]
    print(build_snapshot(folders, TellingObjects(objects), freezing).hash)


if __name__ == "__main__":
    main()

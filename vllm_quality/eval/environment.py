"""What the evaluation frameworks must find in the environment before they are imported."""

import logging
import os
from functools import lru_cache
from pathlib import Path

from vllm_quality.errors import UserError


class WorkFolderError(UserError):
    """The folder for the frameworks' files cannot be used."""


def prepare_lm_eval(work_folder: Path | None) -> None:
    """Keep lm-eval to this process and its files to known places. Call it before the first import of lm_eval.

    work_folder  where Hugging Face's libraries keep what they download, unless the user has such a place already (which
                 holds his caches and his token)
    """
    # Its bootstrap would fork one process per CPU, from a process that has threads.
    os.environ["DISABLE_MULTIPROC"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"  # a request to s3.amazonaws.com for every set, local ones included
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _no_bars()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    if work_folder is not None and not own.is_dir():
        os.environ.setdefault("HF_HOME", str(_made(work_folder / "huggingface")))


def keep_templates() -> None:
    """Have lm-eval compile each of its templates once; it would do so for every item, which takes most of its own time."""
    from lm_eval import utils

    if not hasattr(utils.env.from_string, "cache_info"):
        utils.env.from_string = lru_cache(maxsize=1024)(utils.env.from_string)


def prepare_deepeval(work_folder: Path) -> None:
    """Keep deepeval silent and its files out of the current folder. Call it before the first import of deepeval."""
    _no_bars()
    folder = _made(work_folder / "deepeval")
    os.environ["DEEPEVAL_TELEMETRY_OPT_OUT"] = "1"
    os.environ["DEEPEVAL_DISABLE_DOTENV"] = "1"
    os.environ["DEEPEVAL_NO_INSPECT_PROMPT"] = "1"
    os.environ["DEEPEVAL_UPDATE_WARNING_OPT_IN"] = "0"
    os.environ["CONFIDENT_TRACING_ENABLED"] = "0"
    os.environ["DEEPEVAL_EVAL_MODE"] = "llm"  # the others ask Confident AI's own model
    for name in ("DEEPEVAL_HOME", "DEEPEVAL_CACHE_FOLDER", "DEEPEVAL_RESULTS_FOLDER"):
        os.environ.setdefault(name, str(folder))


def _no_bars() -> None:
    """Progress bars belong to whoever watches a terminal; here they would fill a step's log."""
    for name in ("TQDM_DISABLE", "HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkFolderError(
            f"{folder} cannot be made ({error.strerror}); set VLLM_QUALITY_HOME to a folder that can be written."
        ) from None
    return folder

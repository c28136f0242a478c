"""A picture of a page, where a Chromium is installed."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from vllm_quality.errors import UserError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WIDTH = 1700
_SECONDS = 90.0
_MEASURE = '<script>document.title = "height=" + document.documentElement.scrollHeight</script>'
_HEIGHT = re.compile(r"<title>height=(\d{1,5})</title>")


class BrowserError(UserError):
    """The picture could not be made."""


def find_browser() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name)) is not None), None)


def take_picture(browser: str, page: str, png: Path) -> None:
    """Draw an HTML page into a PNG file as high as the page is. Raises `BrowserError`, one sentence."""
    with tempfile.TemporaryDirectory(prefix="vllm-quality-page-") as folder:
        file = Path(folder) / "page.html"
        file.write_text(page.replace("</body>", f"{_MEASURE}</body>"), encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--no-sandbox",  # as root in a container there is none; the page is our own and has no script but this one
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
        ]
        dom = _run([*command, f"--window-size={_WIDTH},600", "--dump-dom", file.as_uri()])
        found = _HEIGHT.search(dom)
        if found is None:
            raise BrowserError(f"{browser} did not draw the page; look at the HTML file instead.")
        _run([*command, f"--window-size={_WIDTH},{found[1]}", f"--screenshot={png.absolute()}", file.as_uri()])
    if not png.is_file():
        raise BrowserError(f"{browser} wrote no picture to {png}; look at the HTML file instead.")


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrowserError(
            f"{command[0]} did not draw the page ({type(error).__name__}); look at the HTML file instead."
        ) from None
    return done.stdout

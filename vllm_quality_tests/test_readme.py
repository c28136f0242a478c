"""README says what is true."""

import re
from pathlib import Path

import pytest

from vllm_quality.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_in_the_readme_with_its_meaning(field: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [line] = [line for line in readme.splitlines() if line.startswith(f"| `{PREFIX}{field.upper()}` |")]
    assert str(Settings.model_fields[field].description) in line


@pytest.mark.parametrize("name", ["demo", "test"])
def test_the_two_commands_are_marked_for_ci(name: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.count(f"<!-- command: {name} -->\n```sh\n") == 1


def test_files_that_the_readme_links_exist() -> None:

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = [path for path in re.findall(r"\]\(([^)#]+)\)", readme) if "://" not in path]
    assert [path for path in linked if not (ROOT / path).exists()] == []
    assert linked

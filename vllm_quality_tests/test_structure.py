"""The shape that DESIGN promises: who may import what, and how large an asset body may grow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vllm_quality

PACKAGE = Path(vllm_quality.__file__).parent
# In a topic folder only these may know of Dagster; at the top level the modules that wire it up may.
DAGSTER_FILES = {"assets.py", "checks.py", "sensors.py", "resources.py", "coordinator.py"}
DAGSTER_TOP_LEVEL = {
    "definitions.py",
    "deployment.py",
    "evaluation.py",
    "jobs.py",
    "measuring.py",
    "partitions.py",
    "terminal.py",
}
HEAVY = ("lm_eval", "deepeval", "datasets", "kubernetes", "chdb", "clickhouse_connect", "datasketch", "boto3", "jinja2")
LONGEST_ASSET_BODY = 30


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "deepeval_tests" not in path.parts:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_only_the_dagster_modules_import_dagster() -> None:
    offenders = []
    for path, tree in modules():
        relative = path.relative_to(PACKAGE)
        allowed = DAGSTER_TOP_LEVEL if len(relative.parts) == 1 else DAGSTER_FILES
        if "dagster" in imported(tree) and path.name not in allowed:
            offenders.append(str(relative))
    assert offenders == []


@pytest.mark.parametrize("module", ["vllm_quality.definitions", "vllm_quality.cli"])
def test_importing_the_front_door_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def is_asset(node: ast.FunctionDef) -> bool:
    return any("asset" in ast.unparse(decorator).split("(")[0] for decorator in node.decorator_list)


def test_asset_bodies_are_short() -> None:
    long = []
    found = 0
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and is_asset(node):
                found += 1
                lines = (node.end_lineno or 0) - node.body[0].lineno + 1
                if lines > LONGEST_ASSET_BODY:
                    long.append(f"{path.relative_to(PACKAGE)}:{node.name} {lines}")
    assert long == []
    assert found >= 7

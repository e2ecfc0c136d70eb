"""The structure of the code: which module imports which, and that dvc.yaml knows it.

Which package may import which is checked by `lint-imports`; here deferred imports count too.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from dvc.repo import Repo

from longwriter.models.lineup import MODELS

CHECKOUT = Path(__file__).parents[1]
SRC = CHECKOUT / "src"
LONGEST_CHAIN = 10
SIDE_STAGES = ("params", "report")
"""The first always runs, the second depends on all code."""

UNCOVERED = {
    "config/": "settings come by params.yaml and inputs.yaml, whose keys the stage depends on",
    "tracking/": "writes to MLflow only",
    "models/lineup.py": "which model is last: the default of stages that are run by hand",
    "/settings.py": "declares and checks settings, whose values come by params.yaml",
    "/__init__.py": "holds a docstring only, tracking's the environment of MLflow",
}
"""Part of a module's path → why it may change no byte of any output although no stage depends on it."""


def imports(path: Path) -> Iterator[Path]:
    """First-party modules that a file imports, deferred imports included, those for types not."""
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] == "longwriter":
                found = SRC / name.replace(".", "/")
                yield from (
                    p for p in (found.with_suffix(".py"), found / "__init__.py") if p.is_file()
                )


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from _nodes(child)


@cache
def closure(path: Path) -> frozenset[Path]:
    """All first-party modules that a script loads, directly or not."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        for module in imports(waiting.pop()):
            if module not in found:
                found.add(module)
                waiting.append(module)
    return frozenset(found)


def dependencies() -> dict[str, tuple[Path, list[Path]]]:
    """Stage → its script, and the files and folders of code that dvc.yaml says it depends on."""
    with Repo(CHECKOUT) as repo:
        return {
            stage.addressing: (
                CHECKOUT / stage.cmd.split()[2],
                [Path(dep.fs_path) for dep in stage.deps if not getattr(dep, "params", None)],
            )
            for stage in repo.index.stages
            if stage.name.split("@")[0] not in SIDE_STAGES
        }


STAGES = dependencies()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_module_that_can_change_its_outputs(stage: str) -> None:
    script, deps = STAGES[stage]
    loaded = {script, *closure(script)}
    missing = {
        module.relative_to(CHECKOUT).as_posix()
        for module in loaded
        if not any(module == dep or dep in module.parents for dep in deps)
    }
    assert {path for path in missing if not any(part in path for part in UNCOVERED)} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_file_that_it_does_not_load(stage: str) -> None:
    """Folders follow from the packages; a file that is named is one that the stage loads."""
    script, deps = STAGES[stage]
    named = {dep for dep in deps if dep.suffix == ".py"}
    assert named - {script, *closure(script)} == set()


def test_every_exception_is_needed() -> None:
    loaded = {
        module.relative_to(CHECKOUT).as_posix()
        for script, _ in STAGES.values()
        for module in closure(script)
    }
    for part in UNCOVERED:
        assert any(part in path for path in loaded), part


def test_no_module_imports_itself_by_a_detour_and_chains_are_short() -> None:
    depths: dict[Path, list[str]] = {}

    def chain(path: Path, above: tuple[Path, ...]) -> list[str]:
        assert path not in above, f"a cycle: {[p.stem for p in above]} → {path}"
        if path not in depths:
            below = [chain(m, (*above, path)) for m in set(imports(path)) if m.stem != "__init__"]
            depths[path] = [path.stem, *max(below, key=len, default=[])]
        return depths[path]

    scripts = [*CHECKOUT.glob("stages/*.py"), *SRC.rglob("*.py")]
    longest = max((chain(path, ()) for path in scripts), key=len)
    assert len(longest) <= LONGEST_CHAIN, longest


def test_only_config_and_stages_take_all_settings() -> None:
    rest = [path for path in SRC.rglob("*.py") if "config" not in path.parts]
    takers = [
        f"{path.relative_to(SRC)}:{function.name}"
        for path in rest
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in [*function.args.args, *function.args.kwonlyargs]
        if argument.annotation is not None
        and ast.unparse(argument.annotation).strip("'") == "Settings"
    ]
    assert takers == []


def test_dvc_yaml_and_the_code_list_the_same_models() -> None:
    names = [model.name for model in MODELS]
    for stage in ("predict", "eval"):
        assert [s.split("@")[1] for s in STAGES if s.startswith(f"{stage}@")] == names

"""The house as the code has it: what import-linter cannot see."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.oci import errors

ROOT = Path(__file__).parents[1]
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "proxy").rglob("*.py"))
WITHOUT_A_TEST_OF_ITS_OWN = {
    # protocols: each has its contract in tests/contracts
    *(f"proxy/ports/{name}.py" for name in ("blobs", "catalogs", "registries", "world")),
    "proxy/spending.py",  # words only: what is counted by them is tested with who counts
}
"""What needs no test file of its own, and why."""
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_its_tests_in_the_same_place(module: Path) -> None:
    if module.name in {"__init__.py", "__main__.py"} or str(module) in WITHOUT_A_TEST_OF_ITS_OWN:
        return
    folder = ROOT / "tests" / Path(*module.parts[1:-1])
    assert (folder / f"test_{module.name}").exists()


def test_what_is_exempt_is_there() -> None:
    assert {str(module) for module in MODULES} >= WITHOUT_A_TEST_OF_ITS_OWN
    for port in ("blob_store", "catalog", "destination", "ledger", "upstream"):
        assert (ROOT / "tests" / "contracts" / f"{port}.py").exists()


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_file_and_no_function_is_too_long(module: Path) -> None:
    text = (ROOT / module).read_text("utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for function in _functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno < MAX_FUNCTION_LINES, function.name


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_says_what_belongs_in_it(module: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / module).read_text("utf-8")))


def test_every_error_of_the_registry_has_a_code_that_is_known() -> None:
    for error in _subclasses(errors.RegistryError):
        assert error.code in errors.CODES


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _subclasses(kind: type[errors.RegistryError]) -> Iterator[type[errors.RegistryError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)

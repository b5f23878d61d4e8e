"""Finding the real programs of the lab, and saying why a test can't run without one.

On a developer's machine a missing part skips the test with the reason; under `CI=true` it is a failure.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

LAB = Path(__file__).parent
CACHE = LAB / ".cache"
_BUILT = LAB / ".tools" / "bin"
# Distribution packages first: what somebody put in /usr/local may only look like the program.
_SEARCH_PATH = os.pathsep.join((str(_BUILT), "/usr/sbin", "/usr/bin", "/sbin", "/bin", os.environ.get("PATH", "")))


def find(name: str) -> str | None:
    """Return the path of a program, or `None`."""
    return shutil.which(name, path=_SEARCH_PATH)


def require(name: str) -> str:
    """Return the path of a program, or leave the test: `tests/lab/install` says how to get it."""
    path = find(name)
    if path is None:
        leave(f"{name} is not installed: run tests/lab/install (--debian for Debian's packages)")
    return path


def require_root() -> None:
    """Leave the test unless it may mount file systems and start engines."""
    if os.geteuid() != 0:
        leave("needs root: it mounts file systems and starts container engines")


def leave(reason: str) -> NoReturn:
    """Skip the test for `reason`, or fail it under CI."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)

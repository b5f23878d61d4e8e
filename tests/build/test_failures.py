import pytest

from proxy.build.failures import find_failed

TEXT = """\
ARG A=1
FROM a AS one
# why
RUN b
FROM c
COPY --from=one d e
RUN f \\
  g
"""


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        (["[1/2] STEP 1/2: FROM a AS one", "[1/2] STEP 2/2: RUN b", "Error: exit status 1"], 4),
        (["[1/2] STEP 2/2: RUN b", "x", "[2/2] STEP 3/3: RUN f   g", "[2/2] COMMIT"], 7),
        (["STEP 1/2: FROM a"], 2),
        (["[3/3] STEP 1/1: FROM z"], None),
        (["STEP 9/9: RUN z"], None),
        (["no steps at all"], None),
        ([], None),
    ],
)
def test_the_step_that_was_begun_last_is_found(printed: list[str], line: int | None) -> None:
    found = find_failed(TEXT, printed)
    assert (found.line if found else None) == line

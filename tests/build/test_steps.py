import pytest

from proxy.build.steps import Step, find_failed, read_step

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
        (["Sending build context", "Step 1/7 : ARG A=1", "Step 4/7 : FROM c", " ---> "], 5),
        (["Step 9/9 : RUN z"], None),
        (["#4 [one 2/2] RUN b", "#5 [stage-1 3/3] RUN f   g", "------", "Dockerfile.armv6:8", "------", "ERROR: x"], 7),
        (["#5 [stage-1 3/3] RUN f   g", "#5 ERROR: x", "------", " > [stage-1 3/3] RUN f   g:", "------", "x"], 7),
        (["#5 [stage-1 3/3] RUN f   g", " > [stage-1 3/3] RUN q:", "x"], None),
        (["#5 [stage-1 3/3] RUN f   g", "ERROR: failed to solve"], None),
        (["#5 [stage-1 3/3] RUN f   g", "Dockerfile:99"], None),
        (["#2 transferring", "ERROR: failed to solve: dockerfile parse error on line 4: unknown flag: x"], 4),
        (["Error response from daemon: dockerfile parse error line 7: x"], 7),
        (["no steps at all"], None),
        ([], None),
    ],
)
def test_the_step_that_failed_is_found(printed: list[str], line: int | None) -> None:
    found = find_failed(TEXT, printed)
    assert (found.line if found else None) == line


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("STEP 2/3: RUN b", Step("", 2, 3, "RUN b")),
        ("[1/2] STEP 2/3: RUN b", Step("1", 2, 3, "RUN b")),
        ("Step 2/3 : RUN b", Step("", 2, 3, "RUN b")),
        ("#7 [2/3] RUN b", Step("", 2, 3, "RUN b")),
        ("#7 [build 2/3] RUN b", Step("build", 2, 3, "RUN b")),
        ("#7 [linux/arm/v6 build 2/3] RUN b", Step("build", 2, 3, "RUN b")),
        ("#7 [linux/arm64 2/3] RUN b", Step("", 2, 3, "RUN b")),
        ("#10 [stage-1  1/12] COPY a b", Step("stage-1", 1, 12, "COPY a b")),
        ("#1 [internal] load build definition from Dockerfile", None),
        ("#7 DONE 0.2s", None),
        ("[1/2] COMMIT", None),
        ("x STEP 1/2: RUN", None),
    ],
)
def test_a_line_that_begins_a_step_is_told_from_others(line: str, step: Step | None) -> None:
    assert read_step(line) == step

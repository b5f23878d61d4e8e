"""The table of `docs/client-matrix.md`: written by a test run, and read to hold the next run against it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.lab.content import Content
from tests.lab.matrix.columns import COLUMNS
from tests.lab.matrix.rules import Nothing, Outcome

DOCUMENT = Path(__file__).parents[3] / "docs" / "client-matrix.md"
WRITE = "LAB_WRITE_MATRIX"
"""The environment variable by which a test run writes the document."""

_HEAD = f"""\
# The client matrix

Which image each client gets through polyarch: its source, its platform, and the first digits of its manifest's digest.
Real clients pull images of the lab's own by one proxy with the default configuration and one more candidate pattern,
`resin/rpi-{{name}}:{{tag}}`. What they get is written here by

```sh
{WRITE}=1 .venv/bin/python -m pytest tests/lab/test_client_matrix.py
```

and every other run of that file fails where a client gets something else.

`{Nothing.NO_MATCH}`: the client was given an index, and takes none of what it lists. containerd 2 keeps the index and
calls it a success; Docker goes on to Docker Hub. `{Nothing.ABSENT}`: 404, since upstream has nothing of that name, and
neither have the candidates.

Docker Engines show their platform by themselves, and podman, ctr and the others are told one. `ctr --platform` takes
nothing but that platform, in 1.6 too; what uses containerd's library without naming one takes what its machine runs.
An index that polyarch has put together lists an image once more for the machines of a fleet that would not find
theirs: so arm/v7 gets the v6 image of `v6only:1`, where a client insists on arm/v7, and arm/v8, a 32-bit userland on
a 64-bit kernel, gets what is there for arm/v7. Docker 20.10 takes the first ARM image where its own is missing:
polyarch puts the best first for it. Where none of them runs, it takes one all the same: a Pi Zero that asks for
`debian:bookworm` here.

crane and oras name the proxy, the others have it as a mirror of Docker Hub.
"""
_ROWS_BEGIN = "## Who got what\n"


def describe(outcome: Outcome, content: Content) -> str:
    """Answer a cell of the table."""
    if isinstance(outcome, Nothing):
        return outcome.value
    digest = content.image(*outcome).manifest.digest.removeprefix("sha256:")[:12]
    return f"`{outcome.source}` {outcome.platform.removeprefix('linux/')} `{digest}`"


def read_rows(document: Path = DOCUMENT) -> dict[str, tuple[str, ...]]:
    """Read the cells of every row, by the row's name; none where there is no document yet."""
    if not document.exists():
        return {}
    _, _, table = document.read_text().partition(_ROWS_BEGIN)
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {name: tuple(cells) for name, *cells in lines[1:]}


def write_document(rows: Mapping[str, Sequence[str]], versions: Mapping[str, str], document: Path = DOCUMENT) -> None:
    """Write the page.

    Args:
        rows: The cells by the row's name, in the order in which they shall stand.
        versions: What each program says of itself: a note only, which nothing is held against.
        document: Where to.
    """
    tags = _table(("Tag", "Upstream has"), ((f"`{column.name}`", column.upstream) for column in COLUMNS))
    heads = ("Client", *(f"`{column.name}`" for column in COLUMNS))
    programs = "; ".join(f"{name} {version}" for name, version in versions.items())
    table = _table(heads, ((name, *cells) for name, cells in rows.items()))
    text = f"{_HEAD}\n## The tags\n\n{tags}\n{_ROWS_BEGIN}\nLast written with {programs}.\n\n{table}"
    document.write_text(text)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |\n" for cells in (heads, *rows)]
    return "".join((lines[0], "|" + "---|" * len(heads) + "\n", *lines[1:]))

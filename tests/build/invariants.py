"""What is so of every text that somebody may call a Dockerfile: for the property tests, and for the fuzzer."""

from collections.abc import Sequence

from proxy.build.bases import Way, route_bases
from proxy.build.checks import as_error, find_problems
from proxy.build.conditions import Dockerfile, read_dockerfile
from proxy.build.groups import list_groups
from proxy.build.rendering import render
from proxy.build.stages import names_of, write_stages
from proxy.build.statements import read_statements
from proxy.oci.errors import InvalidDockerfile
from proxy.oci.platforms import Platform
from tests.build.evaluation import evaluate, variables_for

PLATFORMS = tuple(map(Platform.parse, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6")))
WAY = Way("polyarch.lan:5000", Platform.parse("linux/arm/v6"))


def examine(text: str) -> str:
    """Hold a text against all of it; answer how far it came: `unread`, `two owners`, `no stages`, `stages`."""
    check_statements(text)
    try:
        dockerfile = read_dockerfile(text)
    except InvalidDockerfile as error:
        check_place(text, error)
        return "unread"
    for platform in PLATFORMS:
        check_rendering(dockerfile, platform)
    for problem in find_problems(dockerfile, PLATFORMS):
        check_place(text, as_error(dockerfile, problem))
    try:
        list_groups(dockerfile, PLATFORMS)
    except InvalidDockerfile as error:
        check_place(text, error)
        return "two owners"
    try:
        write_stages(dockerfile, list_groups(dockerfile, PLATFORMS))
    except InvalidDockerfile as error:
        check_place(text, error)
        return "no stages"
    check_stages(text, PLATFORMS)
    return "stages"


def check_statements(text: str) -> None:
    """Every byte is in one statement, and every word where it says."""
    statements = read_statements(text)
    assert "".join(statement.text for statement in statements) == text
    lines = text.split("\n")
    for statement in statements:
        for word in statement.words:
            line = lines[word.line - 1]
            line = line.removeprefix("\ufeff") if word.line == 1 else line
            assert line[word.column - 1 :].startswith(word.text[: len(word.text) - sum(word.continued)])
    assert all(statement.is_complete for statement in statements[:-1])


def check_place(text: str, error: InvalidDockerfile) -> None:
    """An error shows the line that it names, and a caret below it."""
    line = text.split("\n")[error.line - 1].rstrip("\r")
    assert 1 <= error.column <= max(1, len(line))
    first, shown, caret = str(error).split("\n")[-3:]
    assert first.startswith(f"Dockerfile:{error.line}:{error.column}: ")
    assert (shown[2:], caret.index("^")) == (line, error.column + 1)


def check_rendering(dockerfile: Dockerfile, platform: Platform) -> None:
    """A rendering is plain, is its own rendering, knows its lines, and keeps each; a plain file is itself."""
    found = render(dockerfile, platform)
    assert found.text == dockerfile.text or not dockerfile.is_plain
    again = read_dockerfile(found.text)
    assert again.is_plain
    assert render(again, platform).text == found.text
    source, lines = dockerfile.text.split("\n"), found.text.split("\n")
    assert len(found.lines) == len(lines) - (not lines[-1])
    assert [source[number - 1] for number in found.lines] == lines[: len(found.lines)]
    assert list(found.lines) == sorted(set(found.lines))
    assert route_bases(found.text, WAY, {}).text.count("\n") == found.text.count("\n")


def check_stages(text: str, platforms: Sequence[Platform]) -> None:
    """Stages are plain, are their own stages, and come to what was rendered, whatever a builder calls a platform."""
    dockerfile = read_dockerfile(text)
    groups = list_groups(dockerfile, platforms)
    written = write_stages(dockerfile, groups)
    again = read_dockerfile(written)
    assert again.is_plain
    assert write_stages(again, list_groups(again, platforms)) == written
    for group in groups:
        for name in {name for platform in group.platforms for name in names_of(platform)}:
            rendered = evaluate(group.rendering.text, variables_for(name))
            assert evaluate(written, variables_for(name)) == rendered, name

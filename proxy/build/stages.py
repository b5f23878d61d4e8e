"""One plain multi-stage Dockerfile that any BuildKit builds by itself, for each platform what is meant for it.

Each build becomes a chain of stages that ends in `base-<architecture><variant>`, its own stages named apart from those
of other builds; what serves further architectures is named for them, too; and the last stage is chosen by the builder's
own words, `FROM base-${TARGETARCH}${TARGETVARIANT}` (docs.docker.com, "Automatic platform ARGs in the global scope").
A builder may leave arm64's variant out, or say `v8` (platforms.md §8): both names are there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.build.conditions import Dockerfile
from proxy.build.groups import Group
from proxy.build.statements import SOURCE, WITH_SOURCES, Edit, Statement, Word, read_statements
from proxy.oci.platforms import Platform

SELECTED_BY = ("TARGETARCH", "TARGETVARIANT")
"""BuildKit knows these before any FROM without being told; buildah has to be."""
SELECTOR = "FROM base-${TARGETARCH}${TARGETVARIANT}"
_MARK = "\ufeff"
_VARIABLE = re.compile(r"\$\{[^}]*\}|\$\w+")


@dataclass(frozen=True, slots=True)
class _Build:
    """A rendered Dockerfile, cut up."""

    group: Group
    statements: list[Statement]

    @property
    def first(self) -> int:
        """Where its first stage begins."""
        keywords = [one.keyword for one in self.statements]
        return keywords.index("FROM") if "FROM" in keywords else len(keywords)

    @property
    def preamble(self) -> str:
        """What stands before the first stage."""
        return "".join(one.text for one in self.statements[: self.first])

    @property
    def arguments(self) -> list[str]:
        """The instructions before the first stage."""
        return [" ".join(word.text for word in one.words) for one in self.statements[: self.first] if one.words]

    @property
    def suffix(self) -> str:
        """What tells its stages from those of other builds."""
        return names_of(self.group.platform)[0]


def write_stages(dockerfile: Dockerfile, groups: Sequence[Group]) -> str:
    """Write the file.

    Args:
        dockerfile: What the groups were made of, for errors.
        groups: Each build, and all that it serves.

    Raises:
        InvalidDockerfile: It cannot be said by stages, and why.
    """
    texts = {group.rendering.text for group in groups}
    if dockerfile.is_plain or (len(texts) == 1 and not any(group.tagged for group in groups)):
        return groups[0].rendering.text if groups else dockerfile.text
    builds = [_Build(group, read_statements(group.rendering.text)) for group in groups]
    _check(dockerfile, builds)
    ending = "\r\n" if "\r\n" in dockerfile.text.partition("\n")[0] + "\n" else "\n"
    parts = [_closed(builds[0].preamble, ending), *(f"ARG {name}{ending}" for name in SELECTED_BY)]
    for build in builds:
        parts.append(_closed("".join(_rewrite(dockerfile, build)), ending))
        own, *others = dict.fromkeys(name for platform in build.group.platforms for name in names_of(platform))
        parts += [f"FROM base-{own} AS base-{other}{ending}" for other in others]
    # A byte order mark is the whole file's, and stands before its first line only.
    mark = _MARK if dockerfile.text.startswith(_MARK) else ""
    return "".join([mark, *(part.removeprefix(_MARK) for part in parts), SELECTOR, ending])


def names_of(platform: Platform) -> tuple[str, ...]:
    """Answer what `${TARGETARCH}${TARGETVARIANT}` may be for a platform; what it is in the normal form first."""
    spellings = (platform.normalised(), platform.explicit())
    return tuple(dict.fromkeys(f"{one.architecture}{one.variant}" for one in spellings))


def _closed(text: str, ending: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}{ending}"


def _check(dockerfile: Dockerfile, builds: Sequence[_Build]) -> None:
    for build in builds:
        if build.group.platform.os != "linux":
            raise _fault(dockerfile, build, None, f"stages tell architectures apart, and not {build.group.platform.os}")
        if build.first == len(build.statements):
            raise _fault(dockerfile, build, None, f"there is no FROM for {build.group.platform}")
        if build.arguments != builds[0].arguments:
            own = [one for one in build.statements[: build.first] if one.words] or [build.statements[build.first]]
            reason = (
                f"what stands before the first FROM is not the same for {build.group.platform} and"
                f" {builds[0].group.platform}, which stages cannot have: put the difference into the FROM lines"
            )
            raise _fault(dockerfile, build, own[-1], reason)


def _fault(dockerfile: Dockerfile, build: _Build, statement: Statement | None, reason: str) -> Exception:
    lines = build.group.rendering.lines
    if statement is None or not statement.words:
        return dockerfile.fault(reason, Word("", lines[0] if lines else 1, 1))
    word = statement.words[0]
    return dockerfile.fault(reason, Word(word.text, lines[word.line - 1], word.column))


def _rewrite(dockerfile: Dockerfile, build: _Build) -> Iterator[str]:
    """Answer the stages of a build, under their new names."""
    stages = [one for one in build.statements if one.keyword == "FROM"]
    known: dict[str, str] = {}
    number = 0
    for statement in build.statements[build.first :]:
        if statement.keyword == "FROM":
            edits = _edit_from(dockerfile, build, statement, known, is_last=statement is stages[-1], number=number)
            number += 1
        elif statement.keyword in WITH_SOURCES:
            _check_sources(dockerfile, build, statement, number - 1)
            edits = list(_edit_sources(statement, known))
        else:
            edits = []
        yield statement.edited(edits)


def _edit_from(
    dockerfile: Dockerfile, build: _Build, statement: Statement, known: dict[str, str], *, is_last: bool, number: int
) -> list[Edit]:
    """Name a stage anew; and what it is made from, where that is another stage."""
    if not statement.operands:
        raise _fault(dockerfile, build, statement, "FROM names no image")
    image, *naming = statement.operands
    source = _find_stage(image.text, known)
    wanted = image.text if source is None else source
    if (
        source is None
        and build.group.tagged
        and not any(word.text.startswith("--platform=") for word in statement.flags)
    ):
        # For all that it serves it is the same image, whichever of them is asked for.
        wanted = f"--platform={build.group.platform} {wanted}"
    own = naming[1].text if len(naming) > 1 and naming[0].text.upper() == "AS" else ""
    name = f"base-{build.suffix}" if is_last else f"{own.lower() or f'stage-{number}'}-for-{build.suffix}"
    while name in known.values():
        name = f"x-{name}"
    known[str(number)] = name
    if own:
        known[own.lower()] = name
        return [Edit(image, wanted), Edit(naming[1], name)]
    return [Edit(image, f"{wanted} AS {name}")]


def _find_stage(text: str, known: Mapping[str, str]) -> str | None:
    """Answer the new name of the stage that a FROM is made from; None where that is an image.

    Where variables stand in it, it is a stage if its other letters fit one, as in `base-${TARGETARCH}`.
    """
    if not text.isdigit() and text.lower() in known:
        return known[text.lower()]
    letters = _VARIABLE.split(text)
    if len(letters) == 1 or not any(letters):
        return None
    pattern = re.compile(".*".join(map(re.escape, letters)), re.IGNORECASE)
    fitting = [name for name in known if not name.isdigit() and pattern.fullmatch(name)]
    # All stages of a build but the last end alike, so that whatever is chosen among them has that end, too.
    return f"{text}{known[fitting[0]].removeprefix(fitting[0])}" if fitting else None


def _check_sources(dockerfile: Dockerfile, build: _Build, statement: Statement, current: int) -> None:
    """Refuse a stage's number that is none before it: in the whole file there may be one, of another build."""
    for found in (SOURCE.search(word.text) for word in statement.flags):
        if found and found["name"].isdigit() and int(found["name"]) >= current:
            raise _fault(dockerfile, build, statement, f"there is no stage {found['name']} before this one")


def _edit_sources(statement: Statement, known: Mapping[str, str]) -> Iterator[Edit]:
    """Name the stages anew that a COPY or a RUN takes files from."""
    for word in statement.flags:
        text = SOURCE.sub(lambda found: found["before"] + known.get(found["name"].lower(), found["name"]), word.text)
        if text != word.text:
            yield Edit(word, text)

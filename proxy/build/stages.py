"""One plain multi-stage Dockerfile that any BuildKit builds by itself, for each platform what is meant for it.

Each build becomes a chain of stages that ends in `base-<architecture><variant>`, its own stages named apart from those
of other builds; what serves further architectures is named for them, too; and the last stage is chosen by the builder's
own words, `FROM base-${TARGETARCH}${TARGETVARIANT}` (docs.docker.com, "Automatic platform ARGs in the global scope").
A builder may leave arm64's variant out, or say `v8` (platforms.md §8): both names are there.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.build.checks import check_from
from proxy.build.conditions import Dockerfile
from proxy.build.groups import Group
from proxy.build.statements import BYTE_ORDER_MARK, SOURCE, WITH_SOURCES, Edit, Statement, Word, read_statements
from proxy.build.variables import Variables
from proxy.oci.errors import InvalidDockerfile
from proxy.oci.platforms import Platform

SELECTED_BY = ("TARGETARCH", "TARGETVARIANT")
"""BuildKit knows these before any FROM without being told; buildah has to be."""
SELECTOR = "FROM base-${TARGETARCH}${TARGETVARIANT}"
_VARIABLE = re.compile(r"\$\{[^}]*\}|\$\w+")
_TARGET = re.compile(r"\bTARGET(?:PLATFORM|OS|ARCH|VARIANT)\b")


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
    def last(self) -> int:
        """Where its last stage begins."""
        return max(position for position, one in enumerate(self.statements) if one.keyword == "FROM")

    @property
    def triggers(self) -> list[Statement]:
        """What its last stage leaves to whoever builds upon it: the selector would set it off, and so has it itself."""
        return [one for one in self.statements[self.last :] if one.keyword == "ONBUILD"]

    @property
    def suffix(self) -> str:
        """What its stages' names end with, by which they differ from those of other builds."""
        return f"-for-{self.name}"

    @property
    def name(self) -> str:
        """What `${TARGETARCH}${TARGETVARIANT}` is for it."""
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
    for build in builds:
        _check(dockerfile, build, builds[0])
    ending = "\r\n" if "\r\n" in dockerfile.text.partition("\n")[0] + "\n" else "\n"
    parts = [_closed(builds[0].preamble, ending), *(f"ARG {name}{ending}" for name in SELECTED_BY)]
    rewriters = [_Rewriter(dockerfile, build) for build in builds]
    for build, rewriter in zip(builds, rewriters, strict=True):
        parts.append(_closed("".join(rewriter.rewrite()), ending))
        own, *others = dict.fromkeys(name for platform in build.group.platforms for name in names_of(platform))
        parts += [f"FROM base-{own} AS base-{other}{ending}" for other in others]
    names = {name for rewriter in rewriters for name in rewriter.names}
    for rewriter in rewriters:
        rewriter.check_images(names)
    # A byte order mark is the whole file's, and stands before its first line only.
    mark = BYTE_ORDER_MARK if dockerfile.text.startswith(BYTE_ORDER_MARK) else ""
    parts = [part.removeprefix(BYTE_ORDER_MARK) for part in parts]
    triggers = "".join(one.text for one in builds[0].triggers)
    return "".join([mark, *parts, SELECTOR, ending, _closed(triggers, ending)])


def names_of(platform: Platform) -> tuple[str, ...]:
    """Answer what `${TARGETARCH}${TARGETVARIANT}` may be for a platform; what it is in the normal form first."""
    spellings = (platform.normalised(), platform.explicit())
    return tuple(dict.fromkeys(f"{one.architecture}{one.variant}" for one in spellings))


def _closed(text: str, ending: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}{ending}"


def _check(dockerfile: Dockerfile, build: _Build, first: _Build) -> None:
    platform = build.group.platform
    if platform.os != "linux":
        raise _fault(dockerfile, build, None, f"stages tell architectures apart, and not {platform.os}")
    if build.first == len(build.statements):
        raise _fault(dockerfile, build, None, f"there is no FROM for {platform}")
    if build.arguments != first.arguments:
        own = [one for one in build.statements[: build.first] if one.words] or [build.statements[build.first]]
        reason = (
            f"what stands before the first FROM is not the same for {platform} and {first.group.platform}, which stages"
            f" cannot have: put the difference into the FROM lines"
        )
        raise _fault(dockerfile, build, own[-1], reason)
    if not build.statements[-1].is_complete:
        reason = "this is not at its end where the file ends, and stages would go on in it"
        raise _fault(dockerfile, build, build.statements[-1], reason)
    if [one.text for one in build.triggers] != [one.text for one in first.triggers]:
        reason = f"ONBUILD in the last stage is not the same for {platform} and {first.group.platform}"
        owner = build if build.triggers else first
        raise _fault(dockerfile, owner, owner.triggers[0], f"{reason}, which stages cannot have")


def _fault(dockerfile: Dockerfile, build: _Build, statement: Statement | None, reason: str) -> InvalidDockerfile:
    lines = build.group.rendering.lines
    if statement is None or not statement.words:
        return dockerfile.fault(reason, Word("", lines[0] if lines else 1, 1))
    word = statement.words[0]
    return dockerfile.fault(reason, Word(word.text, lines[word.line - 1], word.column))


class _Rewriter:
    """Gives the stages of a build new names, wherever they are named."""

    def __init__(self, dockerfile: Dockerfile, build: _Build) -> None:
        self._dockerfile = dockerfile
        self._build = build
        self._images = list[tuple[Statement, str]]()
        self._variables = Variables()
        self._known = dict[str, str]()
        """The new names of the stages so far, by their names and their numbers."""
        self._number = 0
        stages = [one.operands for one in build.statements if one.keyword == "FROM"]
        self._all_names = {_name_of(operands) for operands in stages}

    def rewrite(self) -> Iterator[str]:
        """Answer its stages."""
        for statement in self._build.statements[: self._build.first]:
            if statement.keyword == "ARG":
                self._variables.learn(statement)
        for position, statement in enumerate(self._build.statements):
            if position < self._build.first:
                continue
            self._check_target(statement)
            if statement.keyword == "FROM":
                yield statement.edited(self._edit_from(statement, is_last=position == self._build.last))
                self._number += 1
            elif statement.keyword in WITH_SOURCES:
                yield statement.edited(self._edit_sources(statement))
            elif statement.keyword != "ONBUILD" or position < self._build.last:
                yield statement.text

    @property
    def names(self) -> set[str]:
        """What its stages are called now, and those that stand for them."""
        served = (name for platform in self._build.group.platforms for name in names_of(platform))
        return {*self._known.values(), *(f"base-{name}" for name in served)}

    def check_images(self, names: Iterable[str]) -> None:
        """Refuse an image that goes by the name of a stage: the stage would be taken."""
        for statement, text in self._images:
            letters = _VARIABLE.split(text)
            if any(_fits(name, letters) for name in names):
                raise self._fault(statement, f"{text} would be taken for a stage: write its registry, too")

    def _edit_from(self, statement: Statement, *, is_last: bool) -> list[Edit]:
        """Name a stage anew; and what it is made from, where that is another stage."""
        if not statement.operands:
            raise self._fault(statement, "FROM names no image")
        reason = check_from([word.text for word in statement.operands])
        if reason is not None:
            raise self._fault(statement, reason)
        image, *naming = statement.operands
        source = self._find_stage(statement, image.text)
        if source is None:
            self._images.append((statement, image.text))
        wanted = image.text if source is None else source
        is_pinned = any(word.text.startswith("--platform=") for word in statement.flags)
        if source is None and self._build.group.tagged and not is_pinned:
            # For all that it serves it is the same image, whichever of them is asked for.
            wanted = f"--platform={self._build.group.platform} {wanted}"
        own = _name_of(statement.operands)
        name = f"base-{self._build.name}" if is_last else f"{own or f'stage-{self._number}'}{self._build.suffix}"
        while name in self._known.values():
            name = f"x-{name}"
        self._known[str(self._number)] = name
        if own:
            self._known[own] = name
            return [Edit(image, wanted), Edit(naming[1], name)]
        return [Edit(image, f"{wanted} AS {name}")]

    def _find_stage(self, statement: Statement, text: str) -> str | None:
        """Answer the new name of the stage that a FROM is made from; None where that is an image.

        Where variables stand in it, it is a stage if it is one by their defaults, or if its other letters fit one, as
        in `base-${TARGETARCH}`.
        """
        if not text.isdigit() and text.lower() in self._known:
            return self._known[text.lower()]
        letters = _VARIABLE.split(text)
        if len(letters) == 1:
            return None
        told = (self._variables.expand(text) or "").lower()
        fitting = [told] if told in self._known else self._list_fitting(letters)
        if not fitting:
            return None
        if any(self._known[name] != f"{name}{self._build.suffix}" for name in fitting):
            raise self._fault(statement, f"which stage {text} is cannot be told: two of them have one name")
        return f"{text}{self._build.suffix}"

    def _list_fitting(self, letters: Sequence[str]) -> list[str]:
        return [name for name in self._known if not name.isdigit() and _fits(name, letters)]

    def _edit_sources(self, statement: Statement) -> Iterator[Edit]:
        """Name the stages anew that a COPY or a RUN takes files from."""
        for word in statement.flags:
            found = SOURCE.search(word.text)
            if found is None:
                continue
            name = found["name"].lower()
            is_stage = name.isdigit() or name in self._all_names
            # In the whole file a number may be a stage of another build.
            if is_stage and self._known.get(name) in {None, self._known[str(self._number - 1)]}:
                raise self._fault(statement, f"there is no stage {found['name']} before this one")
            if is_stage:
                renamed = f"{word.text[: found.start('name')]}{self._known[name]}{word.text[found.end('name') :]}"
                yield Edit(word, renamed)
            else:
                self._images.append((statement, found["name"]))

    def _check_target(self, statement: Statement) -> None:
        """Refuse a question for the target where one image is to serve several: stages would be told another each."""
        is_asking = statement.keyword in {"ARG", "FROM"} and any(_TARGET.search(word.text) for word in statement.words)
        if self._build.group.tagged and is_asking:
            reason = f"TARGET… is not the same for all that the build for {self._build.group.platform} serves"
            raise self._fault(statement, f"{reason}: write what it is here, or ask by IFARCH")

    def _fault(self, statement: Statement, reason: str) -> InvalidDockerfile:
        return _fault(self._dockerfile, self._build, statement, reason)

    def __repr__(self) -> str:
        return f"<Rewriter for {self._build.name} with {self._known}>"


def _fits(name: str, letters: Sequence[str]) -> bool:
    """Tell whether a name may be meant by a text, of which these are the letters around variables."""
    return any(letters) and re.fullmatch(".*".join(map(re.escape, letters)), name, re.IGNORECASE) is not None


def _name_of(operands: Sequence[Word]) -> str:
    """Answer what a FROM calls its stage, in lower case as builders compare it; nothing where it has no name."""
    named = [word.text for word in operands[1:]]
    return named[1].lower() if len(named) > 1 and named[0].upper() == "AS" else ""

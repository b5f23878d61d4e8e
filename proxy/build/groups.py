"""Which architectures are built once, and which are tagged on: an image is neither built nor stored again for those."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from proxy.arch.compatibility import can_run
from proxy.build.conditions import Architecture, Dockerfile
from proxy.build.rendering import Rendering, render
from proxy.oci.errors import InvalidDockerfile
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class Group:
    """One build, and all that it serves."""

    rendering: Rendering
    """For the platform that it is built for."""
    tagged: tuple[Platform, ...]
    """The further platforms that it serves."""

    @property
    def platform(self) -> Platform:
        """What is built."""
        return self.rendering.platform

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """All that it serves, what it is built for first."""
        return (self.platform, *self.tagged)


def list_groups(dockerfile: Dockerfile, targets: Iterable[Platform]) -> tuple[Group, ...]:
    """Answer the builds that it takes to serve some platforms, whichever order these are named in.

    Of the platforms that a group serves, it is built for the one whose images all the others run: the proposal's `arm7
    arm8 arm8.1 rpi` are built once, for `rpi`. What is tagged on is not built for itself.

    Raises:
        InvalidDockerfile: Two groups claim the same architecture.
    """
    groups = _merge(_group_of(dockerfile, target) for target in dict.fromkeys(one.normalised() for one in targets))
    owners: dict[Platform, Group] = {}
    for group in groups:
        for claim in group.rendering.tags:
            owner = owners.setdefault(claim.platform.normalised(), group)
            if owner is not group:
                raise _conflict(dockerfile, claim, owner)
    for group in groups:
        for platform in group.platforms:
            owner = owners.get(platform, group)
            if owner is not group and group.rendering.tags:
                claim = next(one for one in owner.rendering.tags if one.platform.normalised() == platform)
                raise _conflict(dockerfile, claim, group)
    return tuple(group for group in groups if owners.get(group.platform, group) is group)


def _group_of(dockerfile: Dockerfile, target: Platform) -> Group:
    rendering = render(dockerfile, target)
    tags = [one.platform.normalised() for one in rendering.tags]
    # The order of the file, whichever of them was asked for.
    members = list(dict.fromkeys(tags if target in tags else (target, *tags)))
    leaders = (one for one in members if all(can_run(member, one) for member in members))
    built = next((made for one in leaders if _is_alike(made := render(dockerfile, one), rendering)), rendering)
    return Group(built, tuple(one for one in members if one != built.platform))


def _merge(found: Iterable[Group]) -> list[Group]:
    """Make one of what is the same build: it was found from several of those that it serves."""
    groups: dict[Platform, Group] = {}
    for group in found:
        known = groups.get(group.platform, group)
        groups[group.platform] = replace(group, tagged=tuple(dict.fromkeys((*known.tagged, *group.tagged))))
    return [one for one in groups.values() if not any(_is_part(one, other) for other in groups.values())]


def _is_part(group: Group, other: Group) -> bool:
    """Tell whether a build, as it was found from one that is tagged on, is another one's."""
    if not group.rendering.tags or not _is_alike(group.rendering, other.rendering):
        return False
    if set(group.platforms) == set(other.platforms):  # nobody's image runs on all: that of who is named first is built
        places = {one.platform.normalised(): place for place, one in enumerate(group.rendering.tags)}
        return places.get(other.platform, -1) < places.get(group.platform, -1)
    return set(group.platforms) < set(other.platforms)


def _is_alike(rendering: Rendering, other: Rendering) -> bool:
    return (rendering.text, rendering.tags) == (other.text, other.tags)


def _conflict(dockerfile: Dockerfile, claim: Architecture, owner: Group) -> InvalidDockerfile:
    platform = claim.platform.normalised()
    return dockerfile.fault(f"{platform} is served by the build for {owner.platform} already", claim.word)

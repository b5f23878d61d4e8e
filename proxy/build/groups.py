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
    groups: dict[Platform, Group] = {}
    for target in dict.fromkeys(platform.normalised() for platform in targets):
        group = _group_of(dockerfile, render(dockerfile, target))
        # The same build, where one of those that it serves is not among those that are tagged on.
        known = groups.get(group.platform, group)
        groups[group.platform] = replace(group, tagged=tuple(dict.fromkeys((*known.tagged, *group.tagged))))
    owners: dict[Platform, Group] = {}
    for group in groups.values():
        for claim in group.rendering.tags:
            owner = owners.setdefault(claim.platform.normalised(), group)
            if owner is not group:
                raise _conflict(dockerfile, claim, owner)
    for group in list(groups.values()):
        owner = owners.get(group.platform, group)
        if owner is not group and group.rendering.tags:
            claim = next(one for one in owner.rendering.tags if one.platform.normalised() == group.platform)
            raise _conflict(dockerfile, claim, group)
        if owner is not group:
            del groups[group.platform]
    return tuple(groups.values())


def _group_of(dockerfile: Dockerfile, rendering: Rendering) -> Group:
    tags = [one.platform.normalised() for one in rendering.tags]
    # The order of the file, whichever of them was asked for.
    members = list(dict.fromkeys(tags if rendering.platform in tags else (rendering.platform, *tags)))
    leader = next((one for one in members if _leads(dockerfile, one, members, rendering)), rendering.platform)
    built = rendering if leader == rendering.platform else render(dockerfile, leader)
    return Group(built, tuple(one for one in members if one != leader))


def _leads(dockerfile: Dockerfile, platform: Platform, members: list[Platform], rendering: Rendering) -> bool:
    """Tell whether the image for a platform is the one that is wanted, and runs on all others."""
    if not all(can_run(member, platform) for member in members):
        return False
    own = render(dockerfile, platform)
    return (own.text, own.tags) == (rendering.text, rendering.tags)


def _conflict(dockerfile: Dockerfile, claim: Architecture, owner: Group) -> InvalidDockerfile:
    platform = claim.platform.normalised()
    return dockerfile.fault(f"{platform} is served by the build for {owner.platform} already", claim.word)

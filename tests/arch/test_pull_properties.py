"""What holds of the whole way from what a client shows to the image that runs, whatever the world is like."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from proxy.arch.choice import Asker, Choice, choose
from proxy.arch.compatibility import can_run
from proxy.arch.detection import AnswerMode, Assignment, ClientHints, detect
from proxy.arch.picking import Rule, list_own_labels, rule_of, take_best, take_own_architecture, take_own_variants
from proxy.arch.questions import Present
from proxy.arch.resolution import Resolution
from proxy.oci import media_types
from proxy.oci.manifests import Descriptor, Index, parse_manifest
from proxy.oci.platforms import Platform
from tests.arch.scenes import NAME, Scene, scenes
from tests.arch.worlds import image, index, linux

# What engines before 18.06 accept: no OCI types (clients.md §5)
OLD_TYPES = media_types.MANIFESTS - {media_types.OCI_MANIFEST, media_types.OCI_INDEX}
VERSIONS = ("1.12.6", "17.09.1", "18.03.1", "18.06.3", "19.03.15", "20.10.5", "20.10.24", "23.0.6", "24.0.9", "29.1.0")
MACHINES = (
    "kernel/6.1.21+ os/linux arch/arm",
    "kernel/6.1.21-v7+ os/linux arch/arm",
    "kernel/6.6.31+rpt-rpi-v8 os/linux arch/arm",
    "kernel/6.6.31+rpt-rpi-v8 os/linux arch/arm64",
    "kernel/5.10.0-32-marvell os/linux arch/arm",
    "kernel/6.10.14-linuxkit os/linux arch/amd64",
)


@dataclass(frozen=True)
class Client:
    """A machine with a client on it."""

    hints: ClientHints
    rule: Rule
    labels: tuple[Platform, ...]
    """What it may take its machine for."""
    accepted: frozenset[str] = media_types.MANIFESTS

    @property
    def asker(self) -> Asker:
        detection = detect(self.hints)
        return Asker(detection, self.accepted, wants_manifest=detection.answer is AnswerMode.MANIFEST)

    @property
    def machine(self) -> Platform:
        platform = detect(self.hints).platform
        assert platform is not None
        return platform


def _docker(version: str, machine: str) -> Client:
    hints = ClientHints(user_agent=f"docker/{version} go/go1.19 {machine} UpstreamClient(x)")
    engine = detect(hints).engine
    assert engine is not None
    accepted = OLD_TYPES if engine.version < (18, 6) else media_types.MANIFESTS
    return Client(hints, rule_of(engine), list_own_labels(engine), accepted)


def _assigned(rule: Rule, platform: str) -> Client:
    hints = ClientHints(listener=Assignment(linux(platform)), user_agent="containerd/2.0.0")
    return Client(hints, rule, (linux(platform),))


def _named(platform: str) -> Client:
    """Name a platform in the path, which is answered the one image."""
    hints = ClientHints(
        path_word=f"linux-{platform.replace('/', '-')}", user_agent="docker/20.10.24 os/linux arch/amd64"
    )
    return Client(hints, take_best, (linux(platform),))


_names = st.sampled_from(("amd64", "386", "arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5"))
clients = st.one_of(
    st.builds(_docker, st.sampled_from(VERSIONS), st.sampled_from(MACHINES)),
    st.builds(_assigned, st.sampled_from((take_best, take_own_variants, take_own_architecture)), _names),
    st.builds(_named, _names),
)
_PLATFORMS = ("amd64", "386", "arm64", "arm64/v8", "arm/v8", "arm/v7", "arm/v6", "arm/v5")


@st.composite
def crowded_scenes(draw: st.DrawFn) -> Scene:
    """Worlds in which upstream's index has many entries, in any order, each its own image."""
    scene = draw(scenes())
    listed = draw(st.lists(st.sampled_from(_PLATFORMS), min_size=2, max_size=8, unique=True))
    images = [(platform, image(platform, f"upstream {platform}", is_oci=draw(st.booleans()))) for platform in listed]
    scene.world.publish(NAME, index(*images, is_oci=draw(st.booleans())))
    return scene


def _taken(client: Client, listed: Sequence[Descriptor]) -> Iterator[Descriptor | None]:
    """Answer what a client may take out of an index, by each thing that it may take its machine for."""
    for label in client.labels:
        position = client.rule(label, [entry.platform for entry in listed])
        yield None if position is None else listed[position]


def _listed(resolution: Resolution, choice: Choice) -> Sequence[Descriptor]:
    if choice.synthesis is not None:
        document = parse_manifest(choice.synthesis.content, choice.synthesis.media_type)
    else:
        assert isinstance(resolution.upstream, Present)
        assert resolution.upstream.document is not None
        document = resolution.upstream.document
    assert isinstance(document, Index)
    return [entry for entry in document.manifests if entry.is_runnable]


@given(scenes() | crowded_scenes(), clients)
def test_no_machine_is_led_to_what_it_cannot_run_while_something_that_it_can_run_exists(
    scene: Scene, client: Client
) -> None:
    """Whatever upstream has and whatever was added, and by the client's own way of picking.

    Indexes in indexes are left out: what their labels promise is not always what is inside.
    """
    resolution = scene.look()
    choice = choose(resolution, client.asker, refuse_missing=scene.policy.refuse_missing)
    runnable = {entry.descriptor.digest for entry in resolution.entries if _runs(client, entry.platform)}
    if not runnable:
        return
    assert choice.descriptor is not None
    if not choice.descriptor.is_index:
        assert choice.descriptor.digest in runnable or _has_no_platform(resolution, choice)
        return
    listed = _listed(resolution, choice)
    if any(entry.is_index for entry in listed):
        return
    # Some clients never leave their architecture, and old ones take nothing that tells no platform.
    may_find_nothing = not any(_runs(client, entry.platform) and _is_kin(client, entry) for entry in listed)
    for taken in _taken(client, listed):
        if taken is None:
            assert may_find_nothing
        else:
            assert taken.digest in runnable or taken.platform is None or _runs(client, taken.platform)


@given(scenes() | crowded_scenes(), clients)
def test_what_tells_no_platform_is_taken_by_nobody_for_whom_something_else_runs(scene: Scene, client: Client) -> None:
    resolution = scene.look()
    choice = choose(resolution, client.asker)
    if choice.descriptor is not None and choice.descriptor.is_index:
        listed = _listed(resolution, choice)
        is_there = any(_runs(client, entry.platform) and _is_kin(client, entry) for entry in listed)
        assert not is_there or all(taken and taken.platform for taken in _taken(client, listed))


def _runs(client: Client, platform: Platform | None) -> bool:
    return platform is not None and can_run(client.machine, platform)


def _is_kin(client: Client, entry: Descriptor) -> bool:
    own = client.machine.normalised().architecture
    return entry.platform is not None and entry.platform.normalised().architecture == own


def _has_no_platform(resolution: Resolution, choice: Choice) -> bool:
    """Whether an image was answered that may run: of those that the client can read, there was none that does."""
    assert choice.descriptor is not None
    known = {entry.descriptor.digest: entry.platform for entry in resolution.entries}
    return known.get(choice.descriptor.digest) is None

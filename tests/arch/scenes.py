"""Random worlds, with the policies to look at them by."""

from dataclasses import dataclass

from hypothesis import strategies as st

from proxy.arch.candidates import Template, official_templates, parse_template, proposal_templates
from proxy.arch.resolution import Policy, Resolution
from tests.arch.worlds import FLEET, Content, World, image, index, linux, schema1

TEMPLATES: tuple[Template, ...] = (
    *official_templates(),
    *proposal_templates(),
    parse_template("{repository}:{tag}-armhf", linux("arm/v7")),
    parse_template("{repository}:{tag}-rpi", linux("arm/v6")),
    parse_template("mine/{name}", linux("arm/v6"), trusted=True),
    parse_template("mine/{name}", linux("arm/v7")),
    parse_template("mine/{name}:{tag}-64", linux("arm64")),
)
NAME = "library/app:1"
_claims = st.sampled_from(("amd64", "arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5", "arm", "386", None))
images = st.builds(image, _claims, st.sampled_from("ab"), is_oci=st.booleans())


@st.composite
def _indexes(draw: st.DrawFn, inner: st.SearchStrategy[Content] = images) -> Content:
    children = draw(st.lists(st.tuples(_claims, inner), max_size=3))
    attested = [content for _, content in children if draw(st.booleans())]
    return index(*children, attested=attested, is_oci=draw(st.booleans()))


_contents = st.one_of(images, _indexes(), _indexes(_indexes()), st.builds(schema1, st.sampled_from("ab")))


@dataclass(frozen=True)
class Scene:
    """A world, and the policy to look at it by."""

    world: World
    policy: Policy

    def look(self, *, is_head: bool = False) -> Resolution:
        return self.world.resolve(NAME, self.policy, is_head=is_head)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    fleet = draw(st.lists(st.sampled_from((*FLEET, linux("arm/v8"), linux("386"))), unique=True, max_size=5))
    templates = tuple(draw(st.lists(st.sampled_from(TEMPLATES), unique=True, max_size=8)))
    names = [str(found) for template in templates if (found := template.apply("library/app", "1")) is not None]
    world = World({name: draw(_contents) for name in names if draw(st.booleans())})
    if draw(st.integers(0, 4)):
        world.publish(NAME, draw(_contents))
    for name in [NAME, *names]:
        if draw(st.integers(0, 9)) == 0:
            world.unreachable.add(name)
        elif name in world.tags and draw(st.integers(0, 9)) == 0:
            inner = draw(st.sampled_from(list(world.tags[name].everything())))
            world.unreachable.add(f"{name.rpartition(':')[0]}@{inner.digest}")
    return Scene(world, Policy(tuple(fleet), templates, refuse_missing=draw(st.booleans())))

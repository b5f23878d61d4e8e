"""Registries opened by their names."""

from contextlib import AsyncExitStack

import pytest

from proxy.config.docker_logins import Login, Logins
from proxy.config.schema import Settings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.digests import Digest
from proxy.publication import Manner, Registries, is_on_this_machine, open_registries
from tests.fakes.pushable import Manners, pushable
from tests.fakes.registry import MemoryRegistry
from tests.lab.images import build_image

PI = build_image("linux/arm/v6", label="app")


@pytest.mark.parametrize(
    ("registry", "is_own"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("registry.lan:5000", False),
        ("192.168.1.2:5000", False),
        ("docker.io", False),
    ],
)
def test_this_machine_s_own_registries_are_known(registry: str, *, is_own: bool) -> None:
    assert is_on_this_machine(registry) is is_own


async def test_a_registry_is_reached_as_the_settings_say() -> None:
    registry = MemoryRegistry()
    registry.fill("app", PI, tag="1")
    async with pushable(registry) as server:
        upstream = UpstreamSettings(name="registry.lan", url=server.url)
        async with open_registries(Settings(upstream=(upstream,)), Logins()) as registries:
            assert (await registries.source("registry.lan").head_manifest("app", "1")).digest == registry.tags()[
                "app:1"
            ]
            assert (await registries.destination("registry.lan").head_manifest("app", "1")).size > 0
            assert repr(registries) == "<Registries: registry.lan>"


async def test_who_one_is_is_told_by_the_logins() -> None:
    async with pushable(MemoryRegistry(), Manners(token="letmein")) as server:
        name = server.url.removeprefix("http://")
        logins = Logins({name: Login("me", "secret")}, {"*": "desktop"})
        async with open_registries(Settings(), logins) as registries:
            await registries.destination(name).has_blob("app", Digest.of(b""))
            assert server.scopes == ["repository:app:pull,push"]


def test_what_may_be_behind_a_refusal_is_told() -> None:
    settings = Settings(upstream=(UpstreamSettings(name="registry.lan", username="robot", password="x"),))
    logins = Logins({"quay.io": Login("me", "secret")}, {"ghcr.io": "desktop"}, frozenset({"azure.example"}))
    registries = Registries(settings, Manner(logins, is_plain=False), AsyncExitStack())
    told = {
        name: registries.explain_login(name) for name in ("registry.lan", "quay.io", "ghcr.io", "azure.example", "x")
    }
    by_hand = "name a user in its [[upstream]] of the configuration"
    assert told == {
        "registry.lan": "it was asked as 'robot', as the configuration says",
        "quay.io": "it was asked as 'me', who is logged in there",
        "ghcr.io": f"its password is kept by docker-credential-desktop, which polyarch does not run: {by_hand}",
        "azure.example": f"the login there is an identity token, which polyarch does not use: {by_hand}",
        "x": "log in there by `docker login x`",
    }

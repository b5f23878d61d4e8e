"""Hypothesis strategies for the registry's vocabulary, shared by the property tests."""

import os

from hypothesis import settings
from hypothesis import strategies as st

from proxy.oci.digests import ENCODED_LENGTHS, Digest
from proxy.oci.platforms import Platform
from proxy.oci.ranges import ByteRange
from proxy.oci.references import DOCKER_HUB, MAX_NAME_LENGTH, Reference

# The machine is shared: a slow example says nothing about the code. pytest's own time limit still holds. CI tries the
# same examples every time, so that a change is judged by what it changes; new ones are looked for at every other run.
settings.register_profile("polyarch", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("polyarch")

KNOWN_PLATFORMS = tuple(
    Platform.parse(text)
    for text in (
        "linux/amd64",
        "linux/amd64/v2",
        "linux/amd64/v3",
        "linux/amd64/v4",
        "linux/386",
        "linux/arm",
        "linux/arm/v5",
        "linux/arm/v6",
        "linux/arm/v7",
        "linux/arm/v8",
        "linux/arm64",
        "linux/arm64/v8",
        "linux/arm64/v8.1",
        "linux/arm64/v8.9",
        "linux/arm64/v9",
        "linux/arm64/v9.7",
        "linux/ppc64le",
        "linux/riscv64",
        "linux/s390x",
        "windows/amd64",
    )
)

# Any text that Python can hold, lone surrogates included: that is how undecodable bytes of a request line arrive.
any_text = st.text(st.characters())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)

digests = st.sampled_from(sorted(ENCODED_LENGTHS.items())).flatmap(
    lambda item: st.text("0123456789abcdef", min_size=item[1], max_size=item[1]).map(
        lambda encoded: Digest(item[0], encoded)
    )
)
_components = st.from_regex(r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
repositories = st.lists(_components, min_size=1, max_size=4).map("/".join).filter(lambda it: len(it) <= MAX_NAME_LENGTH)
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)
registries = st.sampled_from((DOCKER_HUB, "localhost", "ghcr.io", "registry.example:5000", "[::1]:5000"))
references = st.builds(
    Reference,
    registries,
    st.builds("{}/{}".format, _components, _components),
    tags | digests,
)

_parts = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,5}[a-z0-9])?", fullmatch=True)
platforms = st.sampled_from(KNOWN_PLATFORMS) | st.builds(Platform, _parts, _parts, st.just("") | _parts)
featured_platforms = st.builds(
    lambda platform, features: Platform(
        platform.os, platform.architecture, platform.variant, os_features=tuple(features)
    ),
    st.sampled_from(KNOWN_PLATFORMS),
    st.lists(st.sampled_from(("win32k", "sse4")), max_size=2, unique=True),
)

ranges = st.builds(lambda start, size: ByteRange(start, start + size), st.integers(0, 10**12), st.integers(1, 10**12))

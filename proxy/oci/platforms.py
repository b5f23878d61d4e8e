"""Platforms: `os/architecture/variant`, and when two spellings mean the same one.

Belongs here: the value, its text form, and containerd's normalisation, which Docker and BuildKit share. Does not
belong here: what runs on what (`arch/compatibility.py`), and the words that people use (`arch/words.py`).

Normalisation follows containerd/platforms `database.go` (platforms.md §1.1):

>>> [str(Platform.parse(text).normalised()) for text in ("linux/x86_64", "linux/aarch64", "linux/arm64/v8.0")]
['linux/amd64', 'linux/arm64', 'linux/arm64']
>>> [str(Platform.parse(text).normalised()) for text in ("linux/arm", "linux/arm/6", "linux/arm64/9.0")]
['linux/arm/v7', 'linux/arm/v6', 'linux/arm64/v9']
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from proxy.oci.errors import InvalidPlatform

_PART = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "x86-64": "amd64", "i386": "386", "aarch64": "arm64"}
_WORDS: Mapping[str, tuple[str, str]] = {"armhf": ("arm", "v7"), "armel": ("arm", "v6")}
"""What containerd makes of Debian's words where a document has them for an architecture (platforms.md §1.1)."""
_VARIANTS: Mapping[tuple[str, str], str] = {
    ("amd64", "v1"): "",
    ("arm64", "8"): "",
    ("arm64", "v8"): "",
    ("arm64", "v8.0"): "",
    ("arm64", "9"): "v9",
    ("arm64", "9.0"): "v9",
    ("arm64", "v9.0"): "v9",
    ("arm", ""): "v7",
    ("arm", "5"): "v5",
    ("arm", "6"): "v6",
    ("arm", "7"): "v7",
    ("arm", "8"): "v8",
}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """What an image was built for, or what a machine is (image-spec, image-index.md, "platform")."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    """Windows only: the build that an image needs."""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/architecture[/variant]`.

        Raises:
            InvalidPlatform: not two or three parts, or a part with other characters than letters, digits and `._-`.
        """
        parts = text.strip().lower().split("/")
        if len(parts) not in {2, 3} or not all(_PART.fullmatch(part) for part in parts):
            raise InvalidPlatform(f"not a platform: {text[:80]!r}; expected os/architecture[/variant]")
        return cls(parts[0], parts[1], parts[2] if len(parts) > 2 else "")  # noqa: PLR2004 - the third of three

    def normalised(self) -> Self:
        """Answer the one spelling that all spellings of the same platform share."""
        architecture = _ARCHITECTURES.get(self.architecture.lower(), self.architecture.lower())
        variant = "" if self.architecture.lower() == "i386" else self.variant.lower()
        variant = _VARIANTS.get((architecture, variant), variant)
        return replace(self, os=self.os.lower(), architecture=architecture, variant=variant)

    def explicit(self) -> Self:
        """Answer the normal form with the variant that every client can compare: `arm64` becomes `arm64/v8`.

        podman compares literally and asks for `v8` first; containerd takes both spellings as one (platforms.md §3.1).
        """
        normal = self.normalised()
        is_plain_arm64 = normal.architecture == "arm64" and not normal.variant
        return replace(normal, variant="v8") if is_plain_arm64 else normal

    def is_same(self, other: "Platform") -> bool:
        """Tell whether two spellings mean one platform."""
        return self.normalised() == other.normalised()

    @property
    def is_known(self) -> bool:
        """Tell a platform that a machine can have from an attestation's `unknown/unknown`."""
        return self.os not in {"", "unknown"} and self.architecture not in {"", "unknown"}

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def parse_platform_object(fields: object) -> Platform | None:
    """Read the `platform` object of a descriptor, or the same fields of an image config.

    Answers None where there is no usable one: it is optional in an index, and an unusable one fits no machine.
    """
    if not isinstance(fields, Mapping):
        return None
    texts = [fields.get(key) or "" for key in ("os", "architecture", "variant", "os.version")]
    if not all(isinstance(text, str) for text in texts) or not texts[1]:
        return None
    features = fields.get("os.features") or ()
    if not isinstance(features, list | tuple) or not all(isinstance(feature, str) for feature in features):
        return None
    architecture, variant = _WORDS.get(texts[1].lower(), (texts[1], texts[2]))
    return Platform(texts[0] or "linux", architecture, variant, texts[3], tuple(features))


def platform_object(platform: Platform) -> dict[str, object]:
    """Write the `platform` object of a descriptor, in the spec's order of fields."""
    fields: dict[str, object] = {"architecture": platform.architecture, "os": platform.os}
    if platform.os_version:
        fields["os.version"] = platform.os_version
    if platform.os_features:
        fields["os.features"] = list(platform.os_features)
    if platform.variant:
        fields["variant"] = platform.variant
    return fields

"""What is resolved, unless somebody says otherwise."""

import pytest

from proxy.config.resolving import CandidateSettings, ResolutionSettings, TemplateSettings
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform

V6 = Platform("linux", "arm", "v6")


def test_the_fleet_is_what_most_people_have() -> None:
    assert [str(one) for one in ResolutionSettings().fleet] == [
        "linux/amd64",
        "linux/arm64",
        "linux/arm/v7",
        "linux/arm/v6",
    ]
    assert CandidateSettings().proposal == "auto"


def test_a_template_is_checked_when_it_is_used() -> None:
    assert TemplateSettings("resin/rpi-{name}", V6).template.pattern == "resin/rpi-{name}:{tag}"
    with pytest.raises(InvalidSetting, match="needs"):
        _ = TemplateSettings("resin/rpi", V6).template

"""Things written in the shapes that the API describes. The rest is shown by `test_api`, over the wiring."""

import pytest

from proxy.oci.digests import Digest
from proxy.oci.platforms import Platform
from proxy.oci.references import Reference
from proxy.ports import Quota
from proxy.server.endpoints import fits
from proxy.server.shapes import (
    DAMAGE,
    IMAGE,
    IMAGE_DETAIL,
    UPSTREAM,
    answer_fields,
    build_fields,
    damage_fields,
    quota_fields,
)
from proxy.service.freshness import CacheState
from proxy.service.image_details import DetailedBuild, Source
from proxy.service.tally import Kind, Tally
from proxy.service.verification import Damage

DIGEST = Digest.of(b"")


@pytest.mark.parametrize("quota", [None, Quota(100, 76, 21_600)])
def test_a_pull_allowance_may_be_unknown(quota: Quota | None) -> None:
    assert fits(UPSTREAM, {"name": "docker.io", "quota": quota_fields(quota)})


def test_what_was_never_answered_is_told_as_none() -> None:
    tally = Tally()
    tally.count(Kind.BLOB, CacheState.HIT)
    told = answer_fields(tally)
    assert told["blob"] == {"hit": 1, "miss": 0, "revalidated": 0, "stale": 0}
    assert set(told) == {"tag", "manifest", "blob"}
    assert sum(told["tag"].values()) == 0


@pytest.mark.parametrize("reason", ["", "upstream is gone"])
def test_damage_has_a_reason_only_where_it_could_not_be_repaired(reason: str) -> None:
    told = damage_fields(Damage(DIGEST, 0, (Reference.parse("debian:jessie"),), reason=reason))
    assert fits(DAMAGE, told)
    assert told["reason"] == (reason or None)


def test_a_build_may_be_for_no_platform_that_is_told() -> None:
    shared = (Platform.parse("linux/arm/v7"),)
    told = build_fields(
        DetailedBuild(None, DIGEST, 5, is_whole=True, source=Source.ALIAS, origin=None, shared_with=shared)
    )
    assert (told["platform"], told["source"], told["shared_with"]) == (None, "alias", ["linux/arm/v7"])


def test_a_detailed_image_tells_what_a_listed_one_does() -> None:
    assert set(IMAGE["properties"]) < set(IMAGE_DETAIL["properties"])

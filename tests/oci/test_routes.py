from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.digests import Digest
from proxy.oci.errors import InvalidDigest, InvalidName, InvalidTag, NameUnknown
from proxy.oci.routes import (
    MAX_PATH_LENGTH,
    BlobRoute,
    ManifestRoute,
    Ping,
    ReferrersRoute,
    Resource,
    Route,
    TagListRoute,
    parse_route,
    quote_path,
)
from tests.strategies import any_text, digests, repositories, tags

DIGEST = Digest.of(b"")
DEBIAN = ManifestRoute("library/debian", "jessie")

resources = st.one_of(
    st.just(Ping()),
    st.builds(ManifestRoute, repositories, tags | digests),
    st.builds(BlobRoute, repositories, digests),
    st.builds(TagListRoute, repositories),
    st.builds(ReferrersRoute, repositories, digests),
)
prefixes = st.just("") | st.sampled_from(("arm6", "x86-64", "arm8.1", "linux-arm-v6"))


@given(st.builds(Route, resources, prefixes))
def test_a_route_reads_back_what_it_writes(route: Route) -> None:
    assert parse_route(str(route)) == route


@given(st.builds(Route, resources, prefixes))
def test_percent_encoding_changes_nothing(route: Route) -> None:
    assert parse_route(quote_path(str(route))) == route
    assert parse_route("/" + quote(str(route)[1:], safe="")) == route


@given(any_text | st.text("/v2.manifestsblobs%2Ff:", max_size=60).map("/{}".format))
def test_an_arbitrary_path_is_a_route_or_one_of_its_errors(path: str) -> None:
    with suppress(NameUnknown, InvalidName, InvalidTag, InvalidDigest):
        assert parse_route(path).prefix != "v2"


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_route_or_one_of_its_errors_and_can_be_logged(raw: bytes) -> None:
    """A request line is decoded with `surrogateescape`, so a path may hold half characters."""
    path = "/" + raw.decode("utf-8", "surrogateescape")
    assert quote_path(path).isascii()
    with suppress(NameUnknown, InvalidName, InvalidTag, InvalidDigest):
        assert quote_path(str(parse_route(path))).isascii()


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        pytest.param("/v2/", Ping(), id="ping"),
        pytest.param("/v2", Ping(), id="ping-without-slash"),
        pytest.param("/v2/library/debian/manifests/jessie", DEBIAN, id="manifest-by-tag"),
        pytest.param(f"/v2/library/debian/manifests/{DIGEST}", ManifestRoute("library/debian", DIGEST), id="by-digest"),
        pytest.param(f"/v2/library/debian/blobs/{DIGEST}", BlobRoute("library/debian", DIGEST), id="blob"),
        pytest.param("/v2/library/debian/tags/list", TagListRoute("library/debian"), id="tag-list"),
        pytest.param(
            f"/v2/library/debian/referrers/{DIGEST}", ReferrersRoute("library/debian", DIGEST), id="referrers"
        ),
        pytest.param("/v2/app/manifests/1", ManifestRoute("app", "1"), id="one-component"),
        pytest.param("/v2/a/b/c/d/manifests/1", ManifestRoute("a/b/c/d", "1"), id="four-components"),
        pytest.param(
            "/v2/a/manifests/b/manifests/c", ManifestRoute("a/manifests/b", "c"), id="repository-named-manifests"
        ),
        pytest.param("/v2/v2/manifests/v2", ManifestRoute("v2", "v2"), id="repository-and-tag-named-v2"),
        pytest.param("/v2/tags/tags/list", TagListRoute("tags"), id="repository-named-tags"),
    ],
)
def test_every_endpoint_of_the_pull_api_is_a_route(path: str, resource: Resource) -> None:
    assert parse_route(path) == Route(resource)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        pytest.param("/v2/library/debian/manifests/jessie", Route(DEBIAN), id="v2-R"),
        pytest.param("/linux-arm-v6/v2/library/debian/manifests/jessie", Route(DEBIAN, "linux-arm-v6"), id="P-v2-R"),
        pytest.param(
            "/v2/linux-arm-v6/library/debian/manifests/jessie",
            Route(ManifestRoute("linux-arm-v6/library/debian", "jessie")),
            id="v2-P-R",
        ),
        pytest.param("/linux-arm-v6/library/debian/manifests/jessie", Route(DEBIAN, "linux-arm-v6"), id="P-R"),
        pytest.param("/linux-arm-v6/v2/", Route(Ping(), "linux-arm-v6"), id="P-v2-ping"),
        pytest.param("/linux-arm-v6/v2", Route(Ping(), "linux-arm-v6"), id="P-v2-ping-without-slash"),
        pytest.param("/linux-arm-v6/", Route(Ping(), "linux-arm-v6"), id="P-ping"),
        pytest.param("/arm8.1/v2/v2/manifests/1", Route(ManifestRoute("v2", "1"), "arm8.1"), id="P-v2-repository-v2"),
    ],
)
def test_a_mirror_s_path_prefix_is_found_where_clients_put_it(path: str, route: Route) -> None:
    assert parse_route(path) == route


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="empty"),
        pytest.param("/", id="root"),
        pytest.param("//", id="double-slash"),
        pytest.param("//v2/", id="double-slash-before-v2"),
        pytest.param("//v2/library/debian/manifests/jessie", id="double-slash-before-a-manifest"),
        pytest.param("//library/debian/manifests/jessie", id="double-slash-instead-of-v2"),
        pytest.param("v2/", id="relative"),
        pytest.param("/v2//", id="double-slash-after-v2"),
        pytest.param("/v2/library", id="only-a-name"),
        pytest.param("/v2/_catalog", id="catalog"),
        pytest.param("/v2/library/debian/tags/other", id="another-tags-path"),
        pytest.param("/v2/library/debian/tags/list/", id="trailing-slash"),
        pytest.param("/v2/library/debian/blobs/uploads/", id="upload"),
        pytest.param("/v1/_ping", id="version-1"),
        pytest.param("/v2/" + "a" * MAX_PATH_LENGTH + "/manifests/1", id="too-long"),
    ],
)
def test_a_path_that_is_none_of_the_pull_api_s_is_unknown(path: str) -> None:
    with pytest.raises(NameUnknown):
        parse_route(path)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("/v2/Library/debian/manifests/1", InvalidName, id="upper-case-name"),
        pytest.param("/v2/manifests/1", InvalidName, id="no-name"),
        pytest.param("/v2//manifests/1", InvalidName, id="empty-name"),
        pytest.param("/v2/library/debian/manifests/.hidden", InvalidTag, id="tag"),
        pytest.param("/v2/library/debian/manifests/", InvalidTag, id="empty-tag"),
        pytest.param("/v2/library/debian/manifests/sha256:baddigeststring", InvalidDigest, id="manifest-digest"),
        pytest.param("/v2/library/debian/blobs/latest", InvalidDigest, id="blob-by-tag"),
        pytest.param("/v2/library/debian/blobs/uploads", InvalidDigest, id="uploads"),
        pytest.param("/v2/library/debian/referrers/latest", InvalidDigest, id="referrers-of-a-tag"),
    ],
)
def test_a_malformed_part_is_named_as_such(path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_route(path)


DOT_DOT = {
    "plain": "..",
    "percent": "%2e%2e",
    "upper-case-percent": "%2E%2E",
    "half-percent": ".%2e",
    "twice-percent": "%252e%252e",
    "overlong-utf-8": "%c0%ae%c0%ae",
    "fullwidth": "%EF%BC%8E%EF%BC%8E",
    "iis-unicode": "%u002e%u002e",
    "semicolon": "..;",
    "nul": "..%00",
}
SLASHES = ("/", "%2f", "%2F", "%252f", "\\", "%5c", "%c0%af")


@pytest.mark.parametrize("dots", DOT_DOT.values(), ids=DOT_DOT)
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param("/v2/{up}{up}etc/passwd/manifests/1", id="name"),
        pytest.param("/v2/library/{up}{up}etc/blobs/{digest}", id="inside-the-name"),
        pytest.param("/v2/library/debian/manifests/{up}{up}etc", id="tag"),
        pytest.param("/v2/library/debian/blobs/{up}{up}etc", id="digest"),
        pytest.param("/v2/library/debian/blobs/sha256:{up}{up}etc", id="inside-the-digest"),
        pytest.param("/v2/{up}{up}tags/list", id="tag-list"),
    ],
)
def test_no_encoding_of_dot_dot_leads_out_of_the_api(shape: str, dots: str) -> None:
    for slash in SLASHES:
        path = shape.format(up=dots + slash, digest=DIGEST)
        with pytest.raises((NameUnknown, InvalidName, InvalidTag, InvalidDigest)):
            parse_route(path)


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        pytest.param(
            "/v2/library%2Fdebian/manifests/jessie", "/v2/library/debian/manifests/jessie", id="slash-in-name"
        ),
        pytest.param(
            "/v2%2Flibrary/debian/manifests/jessie", "/v2/library/debian/manifests/jessie", id="slash-after-v2"
        ),
        pytest.param("/%76%32/library/debian/tags/list", "/v2/library/debian/tags/list", id="v2"),
        pytest.param(
            f"/v2/library/debian/blobs/{quote(str(DIGEST))}", f"/v2/library/debian/blobs/{DIGEST}", id="colon"
        ),
    ],
)
def test_an_encoded_path_means_what_it_means_written_plainly(path: str, plain: str) -> None:
    assert parse_route(path) == parse_route(plain)


def test_a_path_is_decoded_only_once() -> None:
    with pytest.raises(InvalidName):
        parse_route("/v2/library%252Fdebian/manifests/jessie")


@pytest.mark.parametrize("path", ["/../v2/", "/%2e%2e/v2/library/debian/manifests/1", "/etc/"])
def test_a_prefix_is_kept_for_those_who_know_the_platform_words(path: str) -> None:
    """`arch.detection.split_path_platform` refuses a prefix that is none: nothing here opens anything by it."""
    assert parse_route(path).prefix in {"..", "etc"}


def test_a_logged_path_cannot_forge_a_log_line() -> None:
    assert quote_path("/v2/a\r\nb c\x07/:@") == "/v2/a%0D%0Ab%20c%07/:@"

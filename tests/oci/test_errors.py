import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from hypothesis import given

from proxy.oci import errors
from proxy.oci.errors import CODES, PolyarchError, RegistryError
from tests.strategies import any_text

STATUSES = {
    # distribution-spec 1.1.1, "Error Codes"
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 404,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 400,
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "UNSUPPORTED": 405,
    "TOOMANYREQUESTS": 429,
    # a registry's own trouble, and a Range that cannot be fulfilled
    "RANGE_INVALID": 416,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
}


def _descendants(root: type[PolyarchError]) -> Iterator[type[PolyarchError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _descendants(child)


EVERY_CLASS: list[type[PolyarchError]] = [PolyarchError, *_descendants(PolyarchError)]
TOLD_TO_CLIENTS = [each for each in EVERY_CLASS if issubclass(each, RegistryError)]


def test_every_code_has_the_status_that_the_spec_gives_it() -> None:
    assert {code: int(status) for code, status in CODES.items()} == STATUSES


@pytest.mark.parametrize("error_class", TOLD_TO_CLIENTS, ids=lambda each: each.__name__)
def test_every_error_that_a_client_is_told_has_a_known_code_and_an_error_status(
    error_class: type[RegistryError],
) -> None:
    error = error_class("why")
    assert error.code in CODES
    assert error.http_status == (error_class.status or CODES[error.code])
    assert error.http_status >= HTTPStatus.BAD_REQUEST
    assert str(error) == error.message == "why"


@pytest.mark.parametrize("error_class", TOLD_TO_CLIENTS, ids=lambda each: each.__name__)
def test_the_envelope_is_the_spec_s(error_class: type[RegistryError]) -> None:
    envelope = json.loads(error_class('a "quoted" reason').envelope())
    assert envelope == {"errors": [{"code": error_class.code, "message": 'a "quoted" reason'}]}


@given(any_text)
def test_any_message_fits_the_envelope(message: str) -> None:
    assert json.loads(RegistryError(message).envelope())["errors"][0]["message"] == message


@pytest.mark.parametrize(
    ("error_class", "code", "status"),
    [
        (errors.InvalidName, "NAME_INVALID", 400),
        (errors.InvalidTag, "MANIFEST_INVALID", 400),
        (errors.InvalidDigest, "DIGEST_INVALID", 400),
        (errors.InvalidReference, "NAME_INVALID", 400),
        (errors.InvalidPlatform, "NAME_INVALID", 400),
        (errors.InvalidQuery, "NAME_INVALID", 400),
        (errors.RangeNotSatisfiable, "RANGE_INVALID", 416),
        (errors.Unsupported, "UNSUPPORTED", 405),
        (errors.NameUnknown, "NAME_UNKNOWN", 404),
        (errors.ManifestUnknown, "MANIFEST_UNKNOWN", 404),
        (errors.BlobUnknown, "BLOB_UNKNOWN", 404),
        (errors.UpstreamError, "UNAVAILABLE", 502),
        (errors.UpstreamUnreachable, "UNAVAILABLE", 503),
        (errors.UpstreamSilent, "UNAVAILABLE", 503),
        (errors.UpstreamMisbehaved, "UNAVAILABLE", 502),
        (errors.Unavailable, "UNAVAILABLE", 503),
        (errors.BlobDamaged, "UNAVAILABLE", 503),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_client_is_told_this_code_and_status(error_class: type[RegistryError], code: str, status: int) -> None:
    assert (error_class.code, error_class("why").http_status) == (code, status)


def test_what_upstream_refuses_is_told_as_not_found() -> None:
    """A 403 would end the search of containerd 1.4 and BuildKit 20.10, which have other hosts to ask."""
    assert errors.UpstreamRefused("why").http_status == HTTPStatus.NOT_FOUND


def test_an_error_carries_its_own_copy_of_its_headers() -> None:
    headers = {"Retry-After": "3"}
    error = errors.Unavailable("full", headers=headers)
    headers.clear()
    assert error.headers == {"Retry-After": "3"}
    assert errors.Unavailable("full").headers == {}


@pytest.mark.parametrize(
    ("error_class", "parent"),
    [
        (errors.ClientError, RegistryError),
        (errors.NotFound, errors.ClientError),
        (errors.UpstreamRefused, errors.UpstreamError),
        (errors.UpstreamUnreachable, errors.UpstreamError),
        (errors.UpstreamSilent, errors.UpstreamUnreachable),
        (errors.UpstreamMisbehaved, errors.UpstreamError),
        (errors.Unavailable, RegistryError),
        (errors.BlobDamaged, errors.Unavailable),
    ],
    ids=lambda each: each.__name__,
)
def test_the_class_says_whose_fault_it_is(error_class: type[RegistryError], parent: type[RegistryError]) -> None:
    assert error_class.__base__ is parent


@pytest.mark.parametrize("error_class", [errors.InvalidManifest, errors.InvalidSetting], ids=lambda each: each.__name__)
def test_what_no_client_is_told_has_no_code(error_class: type[PolyarchError]) -> None:
    assert issubclass(error_class, PolyarchError)
    assert not issubclass(error_class, RegistryError)


@pytest.mark.parametrize("error_class", EVERY_CLASS, ids=lambda each: each.__name__)
def test_the_picture_of_the_tree_shows_every_class(error_class: type[PolyarchError]) -> None:
    assert error_class.__name__ in (errors.__doc__ or "")
    assert error_class.__doc__

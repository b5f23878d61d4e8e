from proxy.oci.errors import ManifestUnknown
from tests.server.serving import Served


async def test_every_path_and_method_has_one_handler(served: Served) -> None:
    """Also those that a router would refuse by itself, in words that no registry's client knows."""
    for method in ("GET", "PUT", "PROPFIND"):
        for path in ("/", "/v2/%2e%2e/x", "/v2/a//b", "/%", "/v2/x/manifests/%ff"):
            async with served.connect() as wire:
                await wire.send(method, path)
                head = await wire.head()
                assert head.headers["Content-Type"].startswith("application/json")
                assert head.status in {400, 404, 405}


async def test_errors_are_answered_before_the_line_is_written(served: Served) -> None:
    """The line tells the status that the client was told."""
    answer = await served.client.get("/v2/library/debian/manifests/nothing")
    (line,) = served.lines
    assert (answer.status_code, line["status"]) == (404, 404)
    assert ManifestUnknown.code in answer.text

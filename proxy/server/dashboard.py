"""The dashboard's files: `/` and `/dashboard/…`, a page of our own that asks the API for everything it shows.

The files are read once, and found by name in a table: a path is never made into a file's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

from aiohttp import hdrs, web

from proxy.oci.digests import Digest
from proxy.oci.errors import NameUnknown, Unsupported
from proxy.server.conditions import entity_tag, is_known
from proxy.server.doors import Door
from proxy.server.reading import raw_path_of
from proxy.server.registry import READ_METHODS

HOME_PATHS = ("/", "/dashboard")
FOLDER = "/dashboard/"
_INDEX = "index.html"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_POLICIES = (
    "default-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "object-src 'none'",
    # What strangers name their images cannot become markup, even by a mistake of ours.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
POLICY = "; ".join(_POLICIES)
"""The page's own files and nothing else: no other host, no script and no style in the markup (CSP level 3)."""
HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Asked for again each time, and answered 304: a page of one version with the script of another shows nothing.
        "Cache-Control": "no-cache",
    }
)


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page."""

    content: bytes
    content_type: str
    digest: Digest


async def show_dashboard(request: web.BaseRequest, _door: Door) -> web.StreamResponse:
    """Answer a file of the page: the `Area` of all its paths.

    Raises:
        NameUnknown: There is no such file.
        Unsupported: It is not to be read.
    """
    if request.method not in READ_METHODS:
        raise Unsupported("the dashboard is only to be read", headers={"Allow": "GET, HEAD"})
    return dashboard_response(request, raw_path_of(request))


def is_dashboard(path: str) -> bool:
    """Tell whether a path, as it came over the wire, is the dashboard's to answer."""
    return path in HOME_PATHS or path.startswith(FOLDER)


def dashboard_response(request: web.BaseRequest, path: str) -> web.Response:
    """Answer a file of the page.

    Raises:
        NameUnknown: There is no such file.
    """
    name = path.removeprefix(FOLDER[:-1]).removeprefix("/") or _INDEX
    file = page_files().get(name)
    if file is None:
        raise NameUnknown("no such page: the dashboard is at /")
    headers = {**HEADERS, hdrs.ETAG: entity_tag(file.digest)}
    if is_known(request.headers.getall(hdrs.IF_NONE_MATCH, ()), file.digest):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.content, content_type=file.content_type, charset="utf-8", headers=headers)


@lru_cache(1)
def page_files() -> Mapping[str, PageFile]:
    """Answer all files of the page, by name."""
    found: dict[str, PageFile] = {}
    for file in resources.files("proxy.server").joinpath("page").iterdir():
        content_type = _TYPES.get(f".{file.name.rpartition('.')[2]}")
        if content_type is not None:
            content = file.read_bytes()
            found[file.name] = PageFile(content, content_type, Digest.of(content))
    return MappingProxyType(found)

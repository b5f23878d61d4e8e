"""The dashboard's files over a real socket: what there is, what protects it, and that it asks nobody else."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urljoin

import httpx
import pytest
from aiohttp import web

from proxy.oci.errors import RegistryError
from proxy.server.dashboard import is_dashboard, page_files, show_dashboard
from proxy.server.doors import Door
from proxy.server.middleware import error_response

_MENTIONED = re.compile(r"""(?:src|href|from|import)[=\s]\s*["']([^"'#]+)["']""")


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    try:
        return await show_dashboard(request, Door())
    except RegistryError as error:
        return error_response(error)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "is_its_own"),
    [
        ("/", True),
        ("/dashboard", True),
        ("/dashboard/", True),
        ("/dashboard/main.js", True),
        ("/v2/", False),
        ("/dashboards", False),
        ("/whoami", False),
    ],
)
def test_the_paths_that_are_its_own(path: str, *, is_its_own: bool) -> None:
    assert is_dashboard(path) is is_its_own


@pytest.mark.parametrize("path", ["/", "/dashboard", "/dashboard/", "/dashboard/index.html"])
async def test_the_page_is_there(client: httpx.AsyncClient, path: str) -> None:
    found = await client.get(path)
    assert found.status_code == 200
    assert found.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<title>polyarch</title>" in found.text


async def test_everything_that_the_page_mentions_is_there_and_from_here(client: httpx.AsyncClient) -> None:
    waiting, seen = ["/"], set[str]()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        found = await client.get(path)
        assert found.status_code == 200, path
        if not path.endswith(".svg"):
            mentioned = {urljoin(path, one) for one in _MENTIONED.findall(found.text)}
            assert all(one.startswith(("/dashboard/", "/")) and "//" not in one for one in mentioned), mentioned
            waiting += [one for one in mentioned - seen if is_dashboard(one)]
    assert {f"/dashboard/{name}" for name in page_files()} - seen == {"/dashboard/index.html"}


async def test_nothing_runs_that_is_not_a_file_of_the_page(client: httpx.AsyncClient) -> None:
    found = await client.get("/")
    policy = found.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", found.text)


def test_no_script_makes_markup_out_of_text() -> None:
    """Names of images and trails come from strangers: they are put as text, never as markup."""
    for name, file in page_files().items():
        if name.endswith(".js"):
            text = file.content.decode()
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


async def test_a_browser_that_has_it_is_told_so(client: httpx.AsyncClient) -> None:
    first = await client.get("/dashboard/style.css")
    assert first.headers["Cache-Control"] == "no-cache"
    again = await client.get("/dashboard/style.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_head_is_answered_without_a_body(client: httpx.AsyncClient) -> None:
    found = await client.head("/")
    assert (found.status_code, found.content) == (200, b"")
    assert int(found.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "path",
    ["/dashboard/nothing.js", "/dashboard/../dashboard.py", "/dashboard/%2e%2e/dashboard.py", "/dashboard//etc/passwd"],
)
async def test_there_is_no_other_file(client: httpx.AsyncClient, path: str) -> None:
    found = await client.get(path)
    assert found.status_code == 404
    assert found.json()["errors"][0]["code"] == "NAME_UNKNOWN"


async def test_the_page_is_only_read(client: httpx.AsyncClient) -> None:
    found = await client.post("/dashboard/main.js")
    assert (found.status_code, found.headers["Allow"]) == (405, "GET, HEAD")

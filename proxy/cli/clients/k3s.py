"""k3s and RKE2: `registries.yaml`, out of which they write containerd's `hosts.toml` themselves."""

import re
from collections.abc import Iterator

from proxy.cli.clients.addresses import ProxyAddress, find_address
from proxy.cli.clients.findings import Review
from proxy.cli.clients.setups import PLATFORM_IN_PATH, ClientFile, Wish
from proxy.oci.references import DOCKER_HUB

FILE = "/etc/rancher/k3s/registries.yaml"
_ENDPOINT = re.compile(r"""^\s*-\s*["']?(?P<url>https?://[^\s"'#]+)""", re.MULTILINE)
_FLOW = re.compile(r"""endpoint\s*:\s*\[(?P<urls>[^\]]*)\]""")
_URL = re.compile(r"""https?://[^\s"',\]#]+""")


def write(wish: Wish) -> tuple[ClientFile, ...]:
    """Answer the `registries.yaml`."""
    word = wish.path_word
    # An endpoint with a path is used as it stands: /v2 is not added (clients.md §2.1).
    endpoint = f"{wish.proxy.scheme}://{wish.proxy.host}" + (f"/{word}/v2" if word else "")
    lines = ["mirrors:"]
    for registry in (DOCKER_HUB, *wish.registries):
        lines += [f'  "{registry}":', "    endpoint:", f'      - "{endpoint}"']
    if wish.proxy.is_encrypted:
        place = "/etc/rancher/k3s/polyarch-ca.crt"
        lines += ["# configs:", f'#   "{wish.proxy.host}":', "#     tls:", f"#       ca_file: {place}"]
    afterwards = (
        "On each node: sudo systemctl restart k3s (k3s-agent, rke2-server, rke2-agent). It is read at the start only.",
        "To try it: sudo k3s crictl pull hello-world",
    )
    return (ClientFile(FILE, "\n".join(lines) + "\n", tuple(_notes(wish, word)), afterwards),)


def _notes(wish: Wish, word: str) -> Iterator[str]:
    yield from wish.remarks
    yield "RKE2 has it at /etc/rancher/rke2/registries.yaml. Every node needs one, servers too."
    yield (
        "The path of an endpoint is nothing, or all of it: k3s adds /v2 only where there is no path, so a platform is "
        "written http://PROXY:5000/linux-arm-v6/v2."
    )
    yield (
        "No rewrite is needed: the proxy finds the builds for each platform by itself. A rewrite to arm32v7/ and the "
        "like would hide all other platforms from it."
    )
    yield (
        "Where the proxy answers an error or is away, containerd asks the registry itself, unless k3s runs with "
        "--disable-default-registry-endpoint."
    )
    if wish.registries:
        yield (
            'The proxy is told by ?ns= which registry is meant; each needs an [[upstream]] of its name. "*" (k3s from '
            "January 2024 on) is every registry that is not named."
        )
    if word:
        yield PLATFORM_IN_PATH
    if wish.proxy.is_encrypted:
        yield "An authority of your own: take the marks off configs."


def review(text: str, proxy: ProxyAddress | None) -> Review:
    """Read a `registries.yaml`, and answer what is wrong with it.

    Endpoints are found by their looks: there is no YAML reader here.
    """
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    urls = [found["url"] for found in _ENDPOINT.finditer(bare)]
    urls += [url for found in _FLOW.finditer(bare) for url in _URL.findall(found["urls"])]
    named = [(address, url) for url in urls if (address := find_address(url)) is not None]
    addresses = tuple(address for address, _ in named)
    own = next(((one, url) for one, url in named if proxy is None or one.is_same_place(proxy)), None)
    if own is None:
        return Review(addresses)
    address, url = own
    if not address.word or url.rstrip("/").endswith("/v2"):
        return Review(addresses, address)
    return Review(addresses, address, (f'k3s adds no /v2 to an endpoint with a path: write "{address}/v2"',))

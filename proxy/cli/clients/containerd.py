"""containerd (Kubernetes, nerdctl, ctr): a `hosts.toml` a registry, which also names the platform in a header."""

import tomllib
from collections.abc import Iterator, Mapping

from proxy.cli.clients.addresses import ProxyAddress, find_address
from proxy.cli.clients.findings import Review, unreadable
from proxy.cli.clients.setups import PLATFORM_IN_PATH, ClientFile, Wish, with_word
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import DOCKER_HUB

FOLDER = "/etc/containerd/certs.d"
EVERYTHING = "_default"
"""The folder of all registries that have none of their own."""
KNOWS_HOSTS = (1, 5)
"""The first containerd that reads `hosts.toml`."""
SECOND = (2,)
"""The first with the other name for the setting that leads there."""

_PLUGIN_1 = 'plugins."io.containerd.grpc.v1.cri".registry'
_PLUGIN_2 = "plugins.'io.containerd.cri.v1.images'.registry"
_SERVERS: Mapping[str, str] = {DOCKER_HUB: "https://registry-1.docker.io"}


def write(wish: Wish) -> tuple[ClientFile, ...]:
    """Answer a `hosts.toml` for Docker Hub, and one for each registry more.

    Raises:
        InvalidSetting: The containerd is too old for them.
    """
    if wish.version is not None and wish.is_before(*KNOWS_HOSTS):
        raise InvalidSetting("--client-version: containerd before 1.5 reads no hosts.toml; ask for 1.5 or later")
    return tuple(_hosts_file(wish, registry) for registry in (DOCKER_HUB, *wish.registries))


def _hosts_file(wish: Wish, registry: str) -> ClientFile:
    # containerd makes two URLs of one: what stands before /v2 is its path (clients.md §2.1).
    word = wish.path_word if wish.proxy.word else ""
    url = with_word(f"{wish.proxy.scheme}://{wish.proxy.host}", word)
    is_all = registry == "*"
    lines = [] if is_all else [f'server = "{_SERVERS.get(registry, f"https://{registry}")}"', ""]
    lines += [f'[host."{url}"]', '  capabilities = ["pull", "resolve"]']
    if wish.proxy.is_encrypted:
        lines += ['  # ca = "/etc/containerd/certs.d/polyarch-ca.crt"']
    if wish.platform is not None:
        lines += [f'[host."{url}".header]', f'  X-Platform = "{wish.platform}"']
    path = f"{FOLDER}/{EVERYTHING if is_all else registry}/hosts.toml"
    return ClientFile(path, "\n".join(lines) + "\n", tuple(_notes(wish, registry)), tuple(_afterwards(wish)))


def _notes(wish: Wish, registry: str) -> Iterator[str]:
    yield from wish.remarks
    yield (
        'capabilities need "resolve": with "pull" alone tags are asked of the registry itself, and a tag is all that '
        "this proxy can better."
    )
    if registry == "*":
        yield "For every registry without a folder of its own. The proxy answers for its upstreams, and 404 for others."
    elif registry != DOCKER_HUB:
        yield f"The proxy is told which registry is meant by ?ns={registry}; it needs an [[upstream]] of that name."
    if registry != "*":
        yield "Where the proxy answers an error or is away, containerd asks the server itself."
    if wish.platform is not None:
        yield "The header names the platform, and --platform works as ever."
    if wish.proxy.word:
        yield PLATFORM_IN_PATH
        yield "No override_path here: /v2 follows the path. With it, the path would have to be /v2/" + wish.proxy.word
    if wish.proxy.is_encrypted:
        yield "An authority of your own: name its certificate by ca."


def _afterwards(wish: Wish) -> Iterator[str]:
    yield "Nothing is restarted: hosts.toml is read at every pull. nerdctl looks there by itself, ctr by --hosts-dir."
    one = _PLUGIN_1 if wish.is_before(*SECOND) else _PLUGIN_2
    for plugin in (_PLUGIN_1, _PLUGIN_2) if wish.version is None else (one,):
        which = "containerd 1" if plugin == _PLUGIN_1 else "containerd 2"
        told = f'[{plugin}] config_path = "{FOLDER}"'
        yield f"Kubernetes looks there if /etc/containerd/config.toml says so ({which}): {told}"
    yield "After a change of config.toml: sudo systemctl restart containerd. To try it: sudo crictl pull hello-world"


def review(text: str, proxy: ProxyAddress | None) -> Review:
    """Read a `hosts.toml`, and answer what is wrong with it."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return unreadable(f"no TOML ({error}): containerd fails every pull of that registry")
    hosts = table.get("host")
    known = [(find_address(name), one) for name, one in hosts.items()] if isinstance(hosts, dict) else []
    named = [(address, one if isinstance(one, dict) else {}) for address, one in known if address is not None]
    addresses = tuple(address for address, _ in named)
    found = next(((one, keys) for one, keys in named if proxy is None or one.is_same_place(proxy)), None)
    if found is None:
        return Review(addresses)
    return Review(addresses, found[0], tuple(_troubles(*found)))


def _troubles(own: ProxyAddress, keys: Mapping[str, object]) -> Iterator[str]:
    capabilities = keys.get("capabilities")
    if isinstance(capabilities, list) and "resolve" not in capabilities:
        yield 'tags are asked of the registry itself: write capabilities = ["pull", "resolve"]'
    if keys.get("override_path") is True:
        yield f'override_path keeps /v2 away from the proxy: remove it, or write [host."{own.scheme}://{own.host}/v2"]'

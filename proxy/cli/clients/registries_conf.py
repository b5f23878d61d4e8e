"""podman, buildah, skopeo and CRI-O: one `registries.conf` for all of them."""

import tomllib
from collections.abc import Iterator, Mapping

from proxy.cli.clients.addresses import ProxyAddress, find_address
from proxy.cli.clients.findings import Review, unreadable
from proxy.cli.clients.setups import PLATFORM_IN_PATH, ClientFile, Wish, with_word
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import DOCKER_HUB, normalise_registry

FOLDER = "/etc/containers/registries.conf.d"
FILE = f"{FOLDER}/50-polyarch.conf"
MAIN_FILE = "/etc/containers/registries.conf"
READS_FOLDER = (2,)
"""The first podman that reads files beside the main one."""


def write_podman(wish: Wish) -> tuple[ClientFile, ...]:
    """Answer the file for podman, buildah and skopeo."""
    is_old = wish.version is not None and wish.is_before(*READS_FOLDER)
    afterwards = (
        "Nothing is restarted: it is read at every pull (a podman system service: sudo systemctl restart podman).",
        "To try it: podman pull hello-world",
    )
    notes = (
        "buildah, skopeo, podman build and CRI-O read it, too. For one user alone: ~/.config/containers/…",
        "No header can be set here, so the path, or a port of its own, names a platform.",
        "unqualified-search-registries lets `podman pull debian` mean docker.io, without a question.",
    )
    body = _body(wish, has_search=True)
    return (ClientFile(MAIN_FILE if is_old else FILE, body, (*_notes(wish), *notes), afterwards),)


def write_crio(wish: Wish) -> tuple[ClientFile, ...]:
    """Answer the file for CRI-O."""
    afterwards = ("sudo systemctl reload crio", "To try it: sudo crictl pull docker.io/library/hello-world")
    notes = (
        "podman, buildah and skopeo read it, too.",
        "CRI-O tells its architecture in the User-Agent; ARM variants need the path, or a port of their own.",
        "Pods should have whole names: docker.io/library/debian. A short one is looked up by CRI-O's own settings.",
    )
    return (ClientFile(FILE, _body(wish, has_search=False), (*_notes(wish), *notes), afterwards),)


def _body(wish: Wish, *, has_search: bool) -> str:
    lines = ['unqualified-search-registries = ["docker.io"]', ""] if has_search else []
    place = with_word(wish.proxy.host, wish.path_word)
    for registry in (DOCKER_HUB, *wish.registries):
        if registry == "*":
            raise InvalidSetting("--registry: registries.conf has no word for all registries; name each")
        mirror = place if registry == DOCKER_HUB else f"{place}/{registry}"
        lines += ["[[registry]]", f'prefix = "{registry}"', f'location = "{registry}"', "[[registry.mirror]]"]
        lines += [f'location = "{mirror}"', *([] if wish.proxy.is_encrypted else ["insecure = true"]), ""]
    return "\n".join(lines[:-1]) + "\n"


def _notes(wish: Wish) -> Iterator[str]:
    yield from wish.remarks
    if wish.proxy.is_encrypted:
        yield f"An authority of your own: its certificate goes into /etc/containers/certs.d/{wish.proxy.host}/ca.crt"
    else:
        yield "A location has no scheme: insecure = true lets HTTP be tried after HTTPS."
    yield (
        "Where the proxy answers an error or is away, Docker Hub itself is asked. To ask nobody else, leave out the "
        "[[registry.mirror]] line and write the proxy as the registry's location."
    )
    yield "A mirror-by-digest-only or pull-from-mirror = digest-only elsewhere would keep tags away from the proxy."
    if wish.registries:
        yield "Other registries stand in the path: these clients send no ?ns=. Each needs an [[upstream]] of its name."
    if wish.path_word:
        yield PLATFORM_IN_PATH


def review(text: str, proxy: ProxyAddress | None) -> Review:
    """Read a `registries.conf`, and answer what is wrong with it."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return unreadable(f"no TOML ({error}): podman, buildah, skopeo and CRI-O pull nothing")
    named: list[tuple[ProxyAddress, Mapping[str, object], Mapping[str, object]]] = []
    for registry in _tables(table.get("registry")):
        if normalise_registry(str(registry.get("prefix") or registry.get("location"))) != DOCKER_HUB:
            continue
        for place in (*_tables(registry.get("mirror")), registry):
            address = find_address(str(place.get("location") or ""))
            if address is not None and normalise_registry(address.host) != DOCKER_HUB:
                named.append((address, place, registry))
    addresses = tuple(address for address, _, _ in named)
    found = next((one for one in named if proxy is None or _is_at(one[0], proxy)), None)
    if found is None:
        return Review(addresses)
    return Review(addresses, found[0], tuple(_troubles(*found, proxy)))


def _is_at(address: ProxyAddress, proxy: ProxyAddress) -> bool:
    # A location has no scheme, and so no port of its own where none is written.
    return address.is_same_place(ProxyAddress("http", proxy.host)) or address.is_same_place(proxy)


def _troubles(
    own: ProxyAddress, place: Mapping[str, object], registry: Mapping[str, object], proxy: ProxyAddress | None
) -> Iterator[str]:
    if proxy is not None and not proxy.is_encrypted and place.get("insecure") is not True:
        yield f"the proxy speaks HTTP, and {own.host} is asked by HTTPS only: write insecure = true below its location"
    digest_only = registry.get("mirror-by-digest-only") is True or place.get("pull-from-mirror") == "digest-only"
    if place is not registry and digest_only:
        yield "only digests are asked of the proxy: remove mirror-by-digest-only, or pull-from-mirror"


def _tables(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

"""BuildKit of its own (buildkitd, `docker buildx` with a container): `buildkitd.toml`."""

import tomllib
from collections.abc import Iterator, Mapping

from proxy.cli.clients.addresses import ProxyAddress, find_address
from proxy.cli.clients.findings import Review, unreadable
from proxy.cli.clients.setups import PLATFORM_IN_PATH, ClientFile, Wish, with_word
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import DOCKER_HUB

FILE = "/etc/buildkit/buildkitd.toml"


def write(wish: Wish) -> tuple[ClientFile, ...]:
    """Answer the `buildkitd.toml`.

    Raises:
        InvalidSetting: All registries are wished for; each has to be named.
    """
    mirror, lines = with_word(wish.proxy.host, wish.path_word), []
    for registry in (DOCKER_HUB, *wish.registries):
        if registry == "*":
            raise InvalidSetting("--registry: buildkitd.toml has no word for all registries; name each")
        lines += [f'[registry."{registry}"]', f'  mirrors = ["{mirror}"]']
    if wish.proxy.is_encrypted:
        lines += [f'# [registry."{wish.proxy.host}"]', '#   ca = ["/etc/buildkit/polyarch-ca.crt"]']
    else:
        lines += [f'[registry."{wish.proxy.host}"]', "  http = true"]
    afterwards = (
        "buildkitd of its own: sudo systemctl restart buildkit. It is read at the start only.",
        f"docker buildx: docker buildx create --use --buildkitd-config {FILE} (older ones: --config)",
    )
    return (ClientFile(FILE, "\n".join(lines) + "\n", tuple(_notes(wish)), afterwards),)


def _notes(wish: Wish) -> Iterator[str]:
    yield from wish.remarks
    yield (
        "This is for a BuildKit of its own. The one inside Docker (docker build with the default builder) goes by "
        "daemon.json: polyarch client-config docker"
    )
    if wish.proxy.is_encrypted:
        yield "An authority of your own: take the marks off the last two lines."
    else:
        yield (
            "A mirror has no scheme: http = true stands in a table of the mirror's own host, without the path. Without "
            "it BuildKit asks by HTTPS, fails, and goes to Docker Hub without a word."
        )
    yield (
        "In a builder that runs in a container, localhost is the container: the proxy needs a name or an address that "
        "is reached from there."
    )
    yield "BuildKit tells nobody its platform, and asks for several at once: leave the choice to it where you can."
    if wish.path_word:
        yield PLATFORM_IN_PATH + " A build for several platforms would get the same one for all."
    if wish.registries:
        yield "The proxy is told by ?ns= which registry is meant; each needs an [[upstream]] of its name."


def review(text: str, proxy: ProxyAddress | None) -> Review:
    """Read a `buildkitd.toml`, and answer what is wrong with it."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return unreadable(f"no TOML ({error}): buildkitd does not start with it")
    registries = _table(table.get("registry"))
    mirrors = _table(registries.get(DOCKER_HUB)).get("mirrors")
    named = [find_address(str(one)) for one in mirrors] if isinstance(mirrors, list) else []
    addresses = tuple(one for one in named if one is not None)
    own = next((one for one in addresses if proxy is None or proxy.host == one.host), None)
    if own is None:
        return Review(addresses)
    has_http = _table(registries.get(own.host)).get("http") is True
    if has_http or proxy is None or proxy.is_encrypted:
        return Review(addresses, own)
    trouble = f'the proxy speaks HTTP, and BuildKit asks it by HTTPS: write http = true below [registry."{own.host}"]'
    return Review(addresses, own, (trouble,))


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}

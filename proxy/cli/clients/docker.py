"""Docker Engine: `daemon.json`, which mirrors Docker Hub only; and the command's own `config.json`, for a header.

Which channel names a platform depends on the engine (clients.md §2.1): a path in the mirror's URL is accepted from
24.0.8 on, but up to 24 `docker build` drops it; an older engine does not even start with one. The header that every
engine passes on comes from the `docker` command, so builds by BuildKit go without.
"""

import json
from collections.abc import Iterator

from proxy.cli.clients.addresses import ProxyAddress, find_address
from proxy.cli.clients.findings import Review, unreadable
from proxy.cli.clients.setups import PLATFORM_IN_PATH, ClientFile, Wish, with_word
from proxy.oci.errors import InvalidSetting

DAEMON_FILE = "/etc/docker/daemon.json"
COMMAND_FILE = "~/.docker/config.json"
TAKES_PATHS = (25,)
"""The first engine whose pulls and builds both take a path in a mirror's URL."""
KEEPS_SCHEME = (28,)
"""The first engine whose BuildKit asks a mirror by the scheme of its URL."""

_RESTART = "sudo systemctl restart docker (a reload takes up mirrors too, but not on every version)"
_CHECK = "docker info --format '{{.RegistryConfig.Mirrors}}' shows the mirror; docker pull hello-world tries it."


def write(wish: Wish) -> tuple[ClientFile, ...]:
    """Answer the files for a Docker Engine.

    Raises:
        InvalidSetting: A registry beside Docker Hub is wished for, which no engine mirrors.
    """
    if wish.registries:
        raise InvalidSetting(
            "--registry: Docker mirrors docker.io only; pull others through the proxy by their names, such as "
            f"{wish.proxy.host}/{wish.registries[0].replace('*', 'ghcr.io')}/owner/app"
        )
    in_path = bool(wish.proxy.word) or (wish.platform is not None and not wish.is_before(*TAKES_PATHS))
    if in_path and wish.version is not None and wish.is_before(*TAKES_PATHS):
        raise InvalidSetting("--proxy: Docker before 25 does not take a path in a mirror's URL; leave the path out")
    word = wish.path_word if in_path else ""
    daemon = _daemon_file(wish, word)
    return (daemon,) if wish.platform is None or in_path else (daemon, _command_file(wish))


def _daemon_file(wish: Wish, word: str) -> ClientFile:
    settings: dict[str, object] = {"registry-mirrors": [with_word(f"{wish.proxy.scheme}://{wish.proxy.host}", word)]}
    if not wish.proxy.is_encrypted and wish.is_before(*KEEPS_SCHEME):
        settings["insecure-registries"] = [f"http://{wish.proxy.host}"]
    body = json.dumps(settings, indent=2) + "\n"
    notes = (*wish.remarks, *_daemon_notes(wish, word))
    return ClientFile(DAEMON_FILE, body, notes, (_RESTART, _CHECK), has_comments=False)


def _daemon_notes(wish: Wish, word: str) -> Iterator[str]:
    yield "If the file is there already, add these keys to it: it is one JSON object, and JSON has no comments."
    yield (
        "registry-mirrors is for docker.io only. Images of other registries are pulled through the proxy by its name: "
        f"docker pull {wish.proxy.host}/ghcr.io/owner/app"
    )
    yield "Where the proxy answers an error or is away, Docker goes on to Docker Hub itself: no setting ends that."
    if wish.proxy.is_encrypted:
        yield f"An authority of your own: its certificate goes into /etc/docker/certs.d/{wish.proxy.host}/ca.crt"
    elif wish.is_before(*KEEPS_SCHEME):
        yield (
            "insecure-registries is for docker build: BuildKit before 28 asks an http:// mirror by HTTPS otherwise, "
            "fails, and goes to Docker Hub without a word. It is written with http:// since up to 24 a bare name:port "
            "is misread; the engine logs that it removed the http://, and means no harm."
        )
    if word:
        yield PLATFORM_IN_PATH
        yield (
            "Docker before 25 must not have this file: before 24.0.8 the engine does not start with a path in a "
            "mirror's URL, and 24's docker build leaves the path out."
        )
    elif wish.platform is not None:
        yield "This file does not name the platform: that is done by the other one."


def _command_file(wish: Wish) -> ClientFile:
    body = json.dumps({"HttpHeaders": {"X-Meta-Platform": str(wish.platform)}}, indent=2) + "\n"
    return ClientFile(COMMAND_FILE, body, tuple(_command_notes(wish)), has_comments=False)


def _command_notes(wish: Wish) -> Iterator[str]:
    yield (
        "If the file is there already, add this key to it. It is the docker command's: each user has one, root's is "
        "/root/.docker/config.json."
    )
    yield "Docker passes headers on whose names begin with X-Meta-: for docker pull, run, create and compose."
    yield (
        "docker build is not told by it: BuildKit passes no header on. Where builds must be told the platform too, "
        'give it a port of its own in the proxy\'s configuration, [[listener]] listen = "0.0.0.0:5006" platform = '
        f'"{wish.platform}", and name that port as the mirror. From Docker 25 on the path does it, too: '
        "--client-version 25"
    )


def review(text: str, proxy: ProxyAddress | None) -> Review:
    """Read a `daemon.json`, and answer what is wrong with it."""
    try:
        settings = json.loads(text)
    except ValueError as error:
        return unreadable(f"no JSON ({error}): the engine does not start with it")
    if not isinstance(settings, dict):
        return unreadable("no JSON object: the engine does not start with it")
    named = [one for one in map(find_address, _texts(settings.get("registry-mirrors"))) if one is not None]
    own = next((one for one in named if proxy is None or one.is_same_place(proxy)), None)
    if own is None:
        return Review(tuple(named))
    troubles = []
    if not named[0].is_same_place(own):
        troubles.append(f"{named[0]} is asked first: put {own} before it in registry-mirrors")
    if not own.is_encrypted:
        troubles += _http_troubles(own, _texts(settings.get("insecure-registries")))
    return Review(tuple(named), own, tuple(troubles))


def _http_troubles(own: ProxyAddress, insecure: list[str]) -> Iterator[str]:
    wanted = f"http://{own.host}"
    if wanted in [text.rstrip("/").lower() for text in insecure]:
        return
    is_bare = own.host in [text.lower() for text in insecure]
    how = "written without http://" if is_bare else "missing"
    yield (
        f"insecure-registries: {own.host} is {how}, so docker build before Docker {25 if is_bare else 28} goes past "
        f'the proxy: add "{wanted}" to insecure-registries, and restart Docker'
    )


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []

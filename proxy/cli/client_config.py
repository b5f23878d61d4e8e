"""`polyarch client-config`: the file that makes a client pull through the proxy."""

import dataclasses
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from proxy.arch.vocabulary import Vocabulary
from proxy.cli.clients import buildkit, containerd, docker, k3s, registries_conf
from proxy.cli.clients.addresses import ProxyAddress
from proxy.cli.clients.setups import ClientFile, Wish, parse_version
from proxy.cli.options import read_settings
from proxy.config.parsers import parse_one_platform, parse_registry
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting, Unavailable
from proxy.oci.platforms import Platform
from proxy.oci.references import DOCKER_HUB, normalise_registry

CLIENTS: Mapping[str, Callable[[Wish], tuple[ClientFile, ...]]] = {
    "docker": docker.write,
    "containerd": containerd.write,
    "k3s": k3s.write,
    "podman": registries_conf.write_podman,
    "buildkit": buildkit.write,
    "crio": registries_conf.write_crio,
}
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not listened at


@dataclass(frozen=True, slots=True)
class Guess:
    """An address that nobody named."""

    address: ProxyAddress
    reason: str
    names_platform: bool = False
    """Whether whoever comes in there is taken for the platform that was asked for."""


@click.command("client-config")
@click.argument("client", type=click.Choice(tuple(CLIENTS)))
@click.option("--proxy", metavar="URL", help="Where this client reaches the proxy; else this machine, by its settings.")
@click.option("--platform", metavar="PLATFORM", help="What the proxy is to take it for, if not what it finds out.")
@click.option("--client-version", metavar="VERSION", help="The client's version; else the file does for all of them.")
@click.option("--registry", "registries", metavar="NAME", multiple=True, help="A registry beside docker.io; * for all.")
@click.option("--into", metavar="ROOT", type=click.Path(path_type=Path), help="Put the files in place; / is here.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="The proxy's configuration file (TOML).")
def client_config(
    client: str,
    *,
    proxy: str | None,
    platform: str | None,
    client_version: str | None,
    registries: tuple[str, ...],
    into: Path | None,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Print the file that makes CLIENT pull through the proxy, to be put in place as it is."""
    settings = read_settings(config_file, cache=None, upstream=None)
    wish = Wish(
        proxy=ProxyAddress("http", ""),
        platform=_parse_platform(platform, settings.words),
        version=parse_version(client_version) if client_version is not None else None,
        registries=_parse_registries(registries),
    )
    files = CLIENTS[client](with_address(wish, proxy, settings))
    if into is not None:
        _put_in_place(files, into)
    elif as_json:
        click.echo(json.dumps([_as_table(file) for file in files], indent=2))
    else:
        _print(files)


def with_address(wish: Wish, named: str | None, settings: Settings) -> Wish:
    """Answer a wish with the proxy's address: the one that was named, or where it listens by its settings."""
    if named is not None:
        try:
            return dataclasses.replace(wish, proxy=ProxyAddress.parse(named))
        except InvalidSetting as error:
            raise InvalidSetting(f"--proxy {error}") from error
    guess = guess_address(settings, wish.platform, socket.gethostname())
    platform = None if guess.names_platform else wish.platform
    return dataclasses.replace(wish, proxy=guess.address, platform=platform, remarks=(guess.reason,))


def guess_address(settings: Settings, platform: Platform | None, machine: str) -> Guess:
    """Answer where a proxy with these settings is reached, and why that is thought.

    Args:
        settings: The proxy's.
        platform: The client's; a listener for it is its channel.
        machine: What this machine is called, for addresses that are listened at everywhere.
    """
    for listener in settings.listener:
        if platform is not None and listener.platform is not None and listener.platform.is_same(platform):
            host, port = listener.listen or settings.server.listen
            is_own = listener.listen is not None and listener.listen != settings.server.listen
            encrypted = listener.tls_certificate or (None if is_own else settings.server.tls_certificate)
            address = _address(listener.host or _reachable(host, machine), port, encrypted)
            return Guess(address, f"{address} is this machine's [[listener]] for {platform}.", names_platform=True)
    host, port = settings.server.listen
    address = _address(_reachable(host, machine), port, settings.server.tls_certificate)
    reason = "this machine, at the port of its settings: the client has to know it by that name; else say --proxy URL."
    return Guess(address, f"No --proxy was given, so {address} is {reason}")


def _address(host: str, port: int, certificate: Path | None) -> ProxyAddress:
    bracketed = f"[{host}]" if ":" in host else host
    return ProxyAddress("http" if certificate is None else "https", f"{bracketed}:{port}".lower())


def _reachable(host: str, machine: str) -> str:
    return machine if host in EVERYWHERE else host


def _parse_platform(text: str | None, words: Vocabulary) -> Platform | None:
    if text is None:
        return None
    try:
        return parse_one_platform(text, words)
    except InvalidSetting as error:
        raise InvalidSetting(f"--platform: {error}") from error


def _parse_registries(texts: Sequence[str]) -> tuple[str, ...]:
    try:
        names = [text if text == "*" else normalise_registry(parse_registry(text)) for text in texts]
    except InvalidSetting as error:
        raise InvalidSetting(f"--registry {error}") from error
    return tuple(dict.fromkeys(name for name in names if name != DOCKER_HUB))


def _print(files: Sequence[ClientFile]) -> None:
    """Print one file as it is; several one after the other, to be read rather than redirected.

    What cannot stand in a file goes beside it, to standard error.
    """
    for position, file in enumerate(files):
        if not file.has_comments:
            click.echo(("" if position == 0 else "\n") + file.instructions + "\n", err=True)
        elif position:
            click.echo()
        click.echo(file.text, nl=False)
    if len(files) > 1:
        click.echo(f"\nThese are {len(files)} files: --into / puts each into its place.", err=True)


def _put_in_place(files: Sequence[ClientFile], root: Path) -> None:
    """Write the files below a root; what is there already, and is something else, stays."""
    places = [(file, root / _below(file.path)) for file in files]
    for file, place in places:
        if place.exists() and place.read_text("utf-8", errors="replace") != file.text:
            raise InvalidSetting(f"{place} is there already, and stays as it is: print the file, and join the two")
    for file, place in places:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(file.text, "utf-8")
        except OSError as error:
            raise Unavailable(f"{place} cannot be written: {error.strerror}") from error
        click.echo(f"wrote {place}")
        click.echo(file.instructions.partition("\n")[2].strip("\n") if not file.has_comments else _afterwards(file))


def _below(path: str) -> str:
    home = str(Path.home())
    return path.replace("~", home, 1).lstrip("/") if path.startswith("~") else path.lstrip("/")


def _afterwards(file: ClientFile) -> str:
    return "\n".join(f"- {line}" for line in file.afterwards)


def _as_table(file: ClientFile) -> dict[str, object]:
    return {"path": file.path, "text": file.text, "notes": list(file.notes), "afterwards": list(file.afterwards)}

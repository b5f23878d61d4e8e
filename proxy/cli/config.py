"""`polyarch config`: look at settings before they are used."""

from pathlib import Path

import click

from proxy.cli.options import cache_directory, read_settings
from proxy.cli.tables import count_of
from proxy.config.schema import Settings
from proxy.frontage import build_endpoint, build_tls
from proxy.policies import build_access, list_doors
from proxy.server.certificates import Certificate


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Check a configuration file, and tell what it amounts to."""
    settings = read_settings(file, cache=None, upstream=None)
    _look_at_files(settings)
    (main, certificate, _, _), *others = list_doors(settings)
    click.echo(f"listens at {_address(main, certificate)}, keeps its cache in {cache_directory(settings)}")
    for listen, certificate, _, _ in others:
        click.echo(f"listens at {_address(listen, certificate)}, too")
    for upstream in settings.upstreams:
        kind = "public" if upstream.is_public else "of one's own"
        click.echo(f"pulls {upstream.name} from {upstream.address} ({kind})")
    click.echo(f"serves {', '.join(str(platform) for platform in settings.resolution.fleet)}")
    for count, what in ((len(settings.client), "rule for clients"), (len(settings.warm), "schedule of warming")):
        if count:
            click.echo(f"has {count_of(count, what)}")


def _look_at_files(settings: Settings) -> None:
    """Read whatever is named, as a server would at its start."""
    build_access(settings)
    for _, certificate, key, _ in list_doors(settings):
        if certificate is not None and key is not None:
            Certificate(certificate, key)
    for upstream in settings.upstreams:
        build_endpoint(upstream)
        build_tls(upstream)


def _address(listen: tuple[str, int], certificate: Path | None) -> str:
    host, port = listen
    return f"{f'[{host}]' if ':' in host else host}:{port}{' by HTTPS' if certificate else ''}"

"""`polyarch config`: look at settings before they are used."""

from pathlib import Path

import click

from proxy.cli.options import cache_directory, read_settings
from proxy.policies import build_access


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Check a configuration file, and tell what it amounts to."""
    settings = read_settings(file, cache=None, upstream=None)
    build_access(settings)  # may name a file
    host, port = settings.server.listen
    click.echo(f"listens at {host}:{port}, keeps its cache in {cache_directory(settings)}")
    for upstream in settings.upstreams:
        kind = "public" if upstream.is_public else "of one's own"
        click.echo(f"pulls {upstream.name} from {upstream.address} ({kind})")
    click.echo(f"serves {', '.join(str(platform) for platform in settings.resolution.fleet)}")

"""The command line: one file a command."""

from proxy.cli.root import main

__all__ = ["main"]

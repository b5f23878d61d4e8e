"""The version, from the installed distribution's own metadata."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("polyarch")
except PackageNotFoundError:  # run from a checkout that is not installed
    VERSION = "0+unknown"

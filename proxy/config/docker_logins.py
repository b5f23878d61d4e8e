"""Who one is at registries, as `docker login` and `podman login` have written it down.

The files are read as their owners document them: docker's config.json (docs.docker.com, "docker login"), and
containers-auth.json(5). Helpers that keep passwords elsewhere are programs of others, and are not run.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from proxy.config.loading import read_environment
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import DOCKER_HUB, normalise_registry

MAX_BYTES = 1024 * 1024
_HUB_KEYS = ("index.docker.io", "registry-1.docker.io", DOCKER_HUB)


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Logins:
    """All that is written down."""

    known: Mapping[str, Login] = field(default_factory=dict)
    """By the registry's name."""
    helpers: Mapping[str, str] = field(default_factory=dict)
    """The helpers that keep passwords, by the registry's name; `*` for all others."""
    identity_tokens: frozenset[str] = frozenset()
    """The registries where a token was written down instead of a password."""

    def find_helper(self, registry: str) -> str | None:
        """Answer the helper that keeps the password for a registry which is not written down itself, if any does."""
        if registry in self.known:
            return None
        return self.helpers.get(registry, self.helpers.get("*"))


def read_own_logins() -> Logins:
    """Read the files of whoever runs this.

    Raises:
        InvalidSetting: As `read_logins`.
    """
    return read_logins(read_environment(), user_id=os.getuid())


def read_logins(environment: Mapping[str, str], *, user_id: int | None = None) -> Logins:
    """Read the files that the environment leads to; what an earlier one says counts.

    Args:
        environment: The environment variables.
        user_id: Whose file is read where the environment names no runtime folder, as podman has it.

    Raises:
        InvalidSetting: A file is there, and is of no use.
    """
    known: dict[str, Login] = {}
    helpers: dict[str, str] = {}
    identity_tokens: set[str] = set()
    for path in _list_files(environment, user_id):
        fields = _read(path)
        for name, entry in _objects(fields.get("auths")).items():
            if _objects(entry).get("identitytoken"):  # docker then asks with it, whatever else stands there
                identity_tokens.add(_registry_of(name))
                continue
            login = _read_login(entry, path)
            if login is not None:
                known.setdefault(_registry_of(name), login)
        for name, helper in _objects(fields.get("credHelpers")).items():
            helpers.setdefault(_registry_of(name), str(helper))
        if isinstance(store := fields.get("credsStore"), str) and store:
            helpers.setdefault("*", store)
    return Logins(known, helpers, frozenset(identity_tokens) - known.keys())


def _list_files(environment: Mapping[str, str], user_id: int | None) -> list[Path]:
    home = Path(environment.get("HOME", "~")).expanduser()
    runtime, named = environment.get("XDG_RUNTIME_DIR"), environment.get("REGISTRY_AUTH_FILE")
    files = [Path(named)] if named else []
    if runtime:
        files.append(Path(runtime) / "containers" / "auth.json")
    elif user_id is not None:
        files.append(Path("/run/containers") / str(user_id) / "auth.json")
    docker = environment.get("DOCKER_CONFIG")
    return [*files, (Path(docker) if docker else home / ".docker") / "config.json"]


def _read(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAX_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidSetting(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidSetting(f"{path} is no JSON, as logins are written") from error
    return found if isinstance(found, dict) else {}


def _objects(found: object) -> Mapping[str, object]:
    return found if isinstance(found, dict) else {}


def _registry_of(name: str) -> str:
    """Answer the registry of an entry: some are URLs, as docker writes Docker Hub's."""
    host = (
        urlsplit(name).netloc if "://" in name else name.partition("/")[0] if name.endswith(("/v1/", "/v2/")) else name
    )
    return DOCKER_HUB if host in _HUB_KEYS else normalise_registry(host)


def _read_login(entry: object, path: Path) -> Login | None:
    fields = _objects(entry)
    text, username, password = (fields.get(key) for key in ("auth", "username", "password"))
    if not isinstance(text, str) or not text:  # Kubernetes takes them in clear, too; else a helper keeps them
        return Login(username, password) if isinstance(username, str) and isinstance(password, str) else None
    try:
        name, colon, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{path} has a login that cannot be read; log in again") from error
    return Login(name, secret.rstrip("\0")) if colon else None

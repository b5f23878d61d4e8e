"""Reading the settings, and saying in one line what is wrong with them."""

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from proxy.arch.vocabulary import BUILT_IN, Vocabulary
from proxy.config.parsers import PLATFORM_PARSERS, nearest
from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import Reference, normalise_registry

ENVIRONMENT_PREFIX = "POLYARCH_"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Source:
    """Where settings stand, and the words for platforms that they are written in."""

    place: str
    """`/etc/polyarch.toml`, `the environment`."""
    vocabulary: Vocabulary


def load_settings(
    path: Path | None, environment: Mapping[str, str], overrides: Mapping[str, Mapping[str, object]] | None = None
) -> Settings:
    """Read the settings.

    Args:
        path: The TOML file; None for `POLYARCH_CONFIG`, or no file.
        environment: The environment variables.
        overrides: Section to key to value, as flags gave them.

    Raises:
        InvalidSetting: One line that names the key, where it stands, and what would do.
    """
    named = environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    file = path or (Path(named) if named else None)
    settings = Settings() if file is None else _read_file(file)
    settings = _merge(settings, _from_environment(environment), "the environment")
    settings = _merge(settings, overrides or {}, "the command line")
    _check(settings)
    return settings


def read_environment() -> Mapping[str, str]:
    """Answer the process's environment: the one place where it is read."""
    return dict(os.environ)


def default_cache_directory(environment: Mapping[str, str], *, is_root: bool) -> Path:
    """Answer where the cache is kept if nobody says: the system's place for root, the user's data folder else."""
    if is_root:
        return Path("/var/lib/polyarch")
    data = environment.get("XDG_DATA_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".local/share")
    return Path(data) / "polyarch"


def _read_file(file: Path) -> Settings:
    table = _read_toml(file)
    # The words first: all else may be written in them.
    words = {key: value for key, value in table.items() if key == "words"}
    vocabulary = _section(Settings, words, "", _Source(str(file), BUILT_IN)).words
    return _section(Settings, table, "", _Source(str(file), vocabulary))


def _read_toml(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSetting(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{path}: not TOML: {error}") from error


def _section(kind: type[_T], table: object, name: str, source: _Source) -> _T:
    if not isinstance(table, Mapping):
        raise InvalidSetting(f"{source.place}: {name} must be a table")
    known = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]  # every section is one
    values: dict[str, Any] = {}
    for key, value in table.items():
        shown = key if key.isprintable() else repr(key)
        full = f"{name}.{shown}" if name else shown
        if key not in known:
            raise InvalidSetting(f"{source.place}: unknown key {full}{nearest(key, known) or _elsewhere(key)}")
        values[key] = _value(known[key], value, full, source)
    missing = [key for key, item in known.items() if key not in values and _is_required(item)]
    if missing:
        raise InvalidSetting(f"{source.place}: {name} needs {missing[0]}")
    return kind(**values)


def _value(item: "dataclasses.Field[Any]", value: object, full: str, source: _Source) -> object:
    if "items" in item.metadata:
        if not isinstance(value, list):
            raise InvalidSetting(f"{source.place}: {full} must be written as [[{full}]]")
        return tuple(_section(item.metadata["items"], entry, f"{full}[{i}]", source) for i, entry in enumerate(value))
    if "parser" not in item.metadata:
        assert callable(item.default_factory)
        return _section(type(item.default_factory()), value, full, source)
    parse = item.metadata["parser"]
    try:
        return parse(value, source.vocabulary) if parse in PLATFORM_PARSERS else parse(value)
    except InvalidSetting as error:
        raise InvalidSetting(f"{source.place}: {full} {error}") from error


def _is_required(item: "dataclasses.Field[Any]") -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _merge(settings: Settings, tables: Mapping[str, Mapping[str, object]], place: str) -> Settings:
    source = _Source(place, settings.words)
    for name, table in tables.items():
        section = getattr(settings, name)
        known = {item.name: item for item in dataclasses.fields(section)}
        values = {key: _value(known[key], value, f"{name}.{key}", source) for key, value in table.items()}
        settings = dataclasses.replace(settings, **{name: dataclasses.replace(section, **values)})
    return settings


def _from_environment(environment: Mapping[str, str]) -> Mapping[str, Mapping[str, object]]:
    tables: dict[str, dict[str, object]] = {}
    names = {f"{ENVIRONMENT_PREFIX}{section}_{item.name}".upper(): (section, item.name) for section, item in _scalars()}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == f"{ENVIRONMENT_PREFIX}CONFIG":
            continue
        if variable not in names:
            raise InvalidSetting(f"the environment: unknown variable {variable}{nearest(variable, names)}")
        section, key = names[variable]
        tables.setdefault(section, {})[key] = text
    return tables


def _scalars() -> Iterable[tuple[str, "dataclasses.Field[Any]"]]:
    for section in dataclasses.fields(Settings):
        if callable(section.default_factory):
            for item in dataclasses.fields(section.default_factory()):
                if "parser" in item.metadata:
                    yield section.name, item


def _elsewhere(key: str) -> str:
    """Answer a hint at a section that knows a key that was written outside of it."""
    sections = {item.name: section for section, item in _scalars()}
    near = difflib.get_close_matches(key, sections, n=1)
    return f"; did you mean {sections[near[0]]}.{near[0]}?" if near else ""


def _check(settings: Settings) -> None:
    if (settings.server.tls_certificate is None) is not (settings.server.tls_key is None):
        raise InvalidSetting("server.tls_certificate and server.tls_key go together: one of them is not set")
    _check_listeners(settings)
    _check_certificates(settings)
    _check_clients(settings)
    _check_upstreams(settings)
    _check_images(settings)
    _check_words(settings)
    _check_warm(settings)


def _check_listeners(settings: Settings) -> None:
    known = {normalise_registry(one.name) for one in settings.upstreams}
    ways = {(settings.server.listen, "")}
    for position, listener in enumerate(settings.listener):
        name = f"listener[{position}]"
        way = (listener.listen or settings.server.listen, listener.host)
        if way in ways:
            raise InvalidSetting(f"{name} is no way in of its own: give it a listen or a host that no other has")
        ways.add(way)
        if (listener.tls_certificate is None) is not (listener.tls_key is None):
            raise InvalidSetting(f"{name}: tls_certificate and tls_key go together: one of them is not set")
        if listener.tls_certificate is not None and listener.listen is None:
            raise InvalidSetting(f"{name}: a certificate is for an address: set listen, or the server's certificate")
        if normalise_registry(listener.upstream) not in known:
            raise InvalidSetting(f"{name} is for {listener.upstream}, which is no upstream here")


def _check_certificates(settings: Settings) -> None:
    known = {settings.server.listen: settings.server.tls_certificate}
    for position, listener in enumerate(settings.listener):
        if listener.listen is None or listener.tls_certificate is None:
            continue
        first = known.get(listener.listen) or listener.tls_certificate
        if first != listener.tls_certificate:
            raise InvalidSetting(
                f"listener[{position}]: its address has the certificate {first} already: one is for all its hosts"
            )
        known[listener.listen] = first


def _check_clients(settings: Settings) -> None:
    for position, client in enumerate(settings.client):
        if client.platform is None and client.answer is None:
            raise InvalidSetting(f"client[{position}] says nothing: set platform or answer")
        if not client.network:
            raise InvalidSetting(f"client[{position}] is for nobody: its network has no address")


def _check_upstreams(settings: Settings) -> None:
    names = [normalise_registry(upstream.name) for upstream in settings.upstream]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InvalidSetting(f"the upstream {twice} is named twice")
    for upstream in settings.upstream:
        if upstream.username and not upstream.repositories:
            raise InvalidSetting(
                f"the upstream {upstream.name} has a username but no repositories: name those that every client of "
                'this proxy may see with it, such as repositories = ["library/*", "me/*"]'
            )


def _check_images(settings: Settings) -> None:
    known = {normalise_registry(one.name) for one in settings.upstreams}
    for template in settings.candidates.template:
        if normalise_registry(template.registry) not in known:
            raise InvalidSetting(
                f"candidate {template.pattern!r} is for {template.registry}, which is no upstream here"
            )
        _check_name("candidate", template.pattern, known)
        _ = template.template
    for image in settings.image:
        if normalise_registry(image.registry) not in known:
            raise InvalidSetting(f"the image {image.match!r} is on {image.registry}, which is no upstream here")
        _check_name("the image", image.match, known)
        for pattern in image.exclude:
            _check_name("exclude", pattern, known)
        for source in image.source:
            _check_name("source", source.name, known)
        _ = image.rule


def _check_name(kind: str, name: str, upstreams: Collection[str]) -> None:
    first, slash, rest = name.partition("/")
    if slash and "." in first and normalise_registry(first) in upstreams:
        raise InvalidSetting(f'{kind} {name!r} begins with a registry: write registry = "{first}", and {rest!r} here')


def _check_words(settings: Settings) -> None:
    upstreams = {normalise_registry(one.name) for one in settings.upstreams}
    taken = next((word for word, _ in settings.words.aliases if normalise_registry(word) in upstreams), None)
    if taken is not None:
        raise InvalidSetting(f"words has {taken!r}, which is an upstream here: in a path, it could be either")


def _check_warm(settings: Settings) -> None:
    known = {normalise_registry(one.name) for one in settings.upstreams}
    for position, entry in enumerate(settings.warm):
        if (entry.every is None) is not bool(entry.cron):
            raise InvalidSetting(f"warm[{position}] needs every or cron, one of them")
        for image in entry.images:
            registry = Reference.parse(image.replace("*", "0")).registry
            if registry not in known:
                raise InvalidSetting(
                    f"warm[{position}]: the image {image!r} is on {registry}, which is no upstream here"
                )

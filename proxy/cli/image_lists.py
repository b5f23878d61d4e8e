"""Lists of images, as people have them: a compose file, Kubernetes objects, or one name a line.

Which of them a text is shows in the text. Of a compose file, variables are replaced as Compose does it
(compose-spec, interpolation); of Kubernetes objects, every container counts, whatever kind of object it is in.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from proxy.oci.errors import InvalidSetting

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-?+])(?P<word>[^}]*))?\}|(?P<wrong>))"
)
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*\Z")


@dataclass(frozen=True, slots=True)
class ListedName:
    """One image of a list."""

    image: str
    """As it is written there."""
    platform: str = ""
    """The one that it is said to be for, if any is."""
    place: str = field(default="", compare=False)
    """Where it is written, as far as that is known."""


def read_names(text: str, source: str, variables: Mapping[str, str]) -> list[ListedName]:
    """Read the images out of a list, each once, in the order of the list.

    Args:
        text: The list.
        source: What it is called in errors.
        variables: What the variables of a compose file stand for.

    Raises:
        InvalidSetting: It is none of the kinds of list that are known, or has a variable without a value.
    """
    if _looks_like_yaml(text):
        documents = _parse_yaml(text, source)
        found = [name for document in documents for name in _names_in(document, source, variables)]
    else:
        found = list(_names_by_line(text, source))
    if not found:
        raise InvalidSetting(f"{source} names no image")
    return list(dict.fromkeys(found))


def read_assignments(text: str) -> dict[str, str]:
    """Read what stands beside a compose file in `.env`: `NAME=value`, one a line."""
    found = {}
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") else _ASSIGNMENT.match(line)
        if match is not None:
            value = match[2]
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            found[match[1]] = value[1:-1] if is_quoted else value.partition(" #")[0].rstrip()
    return found


def _looks_like_yaml(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return any(line.startswith(("---", "services:", "apiVersion:", "kind:", "{")) for line in lines)


def _parse_yaml(text: str, source: str) -> list[Any]:
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark is not None else source
        raise InvalidSetting(f"{where}: {getattr(error, 'problem', None) or 'no YAML'}") from error
    except RecursionError as error:
        raise InvalidSetting(f"{source}: it is nested too deeply") from error


def _names_by_line(text: str, source: str) -> Iterator[ListedName]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if len(words) > 2:  # noqa: PLR2004 - a name and a platform
            raise InvalidSetting(f"{source}:{number}: more than an image and a platform: {line.strip()[:80]!r}")
        if words:
            yield ListedName(words[0], "".join(words[1:]), f"{source}:{number}")


def _names_in(document: object, source: str, variables: Mapping[str, str]) -> Iterator[ListedName]:
    if isinstance(document, dict) and isinstance(services := document.get("services"), dict):
        for name, service in services.items():
            if isinstance(service, dict) and isinstance(image := service.get("image"), str):
                where = f"{source}: services.{name}"
                platform = service.get("platform")
                given = _interpolate(platform, where, variables) if isinstance(platform, str) else ""
                yield ListedName(_interpolate(image, where, variables), given, where)
    else:
        yield from _containers_in(document, source)


def _containers_in(value: object, source: str) -> Iterator[ListedName]:
    """Answer the images of every container, and of every volume that is one, anywhere below."""
    waiting = [value]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, dict):
            for key in _CONTAINERS:
                containers = found.get(key)
                for one in containers if isinstance(containers, list) else ():
                    if isinstance(one, dict) and isinstance(image := one.get("image"), str):
                        yield ListedName(image, place=source)
            volume = found.get("image")
            if isinstance(volume, dict) and isinstance(reference := volume.get("reference"), str):
                yield ListedName(reference, place=source)
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _interpolate(text: str, where: str, variables: Mapping[str, str]) -> str:
    def replace(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name, operator, word = found["bare"] or found["name"], found["operator"] or "", found["word"] or ""
        if name is None:
            raise InvalidSetting(f"{where}: {text!r} has a $ that begins no variable; write $$ for a plain one")
        value = variables.get(name)
        is_set = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return word if is_set else ""
        if is_set:
            return value or ""
        if operator.endswith("-"):
            return word
        raise InvalidSetting(
            f"{where}: {name} has no value{f' ({word})' if word else ''}; set it, or write it into .env"
        )

    return _VARIABLE.sub(replace, text)

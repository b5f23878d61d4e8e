"""What the API consists of: a table, by which calls are found, checked, and described (OpenAPI 3.1)."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from aiohttp import web

from proxy import version
from proxy.oci.errors import InvalidCall
from proxy.server.doors import Door

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
MAX_BODY_BYTES = 256 * 1024
BODY_SECONDS = 30
"""How long a body may take to arrive."""
MAX_NAME = 100
"""How long what stands in a path may be."""
_NAME = re.compile(r"\{(\w+)\}")


def optional(schema: Schema) -> Schema:
    """Answer a schema that takes null, too."""
    return {"anyOf": [dict(schema), {"type": "null"}]}


def list_of(schema: Schema) -> Schema:
    """Answer the schema of an array."""
    return {"type": "array", "items": schema}


def fields(**properties: Schema) -> Schema:
    """Answer the schema of an object that has all of these, and nothing else."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of a query, or one field of a body."""

    name: str
    schema: Schema
    meaning: str
    is_required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What of the settings the API tells, and goes by."""

    fleet: tuple[str, ...]
    directory: str
    is_offline: bool
    owns_cache: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the API, its parameters read."""

    request: web.BaseRequest
    door: Door
    sight: Sight
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing to ask for."""

    method: str
    path: str
    """A name in braces stands for one part of it: the parameter of that name."""
    meaning: str
    result: Schema
    """Of what is answered; of each event, where it streams."""
    answer: Callable[[Call], Awaitable[Any]]
    """Answers what is written as JSON; an `AsyncGenerator` of `Told`, where it streams."""
    parameters: tuple[Parameter, ...] = ()
    """Of the query; of the body, where the method has one; and those of the path."""
    status: int = 200
    """Of what is done."""
    streams: bool = False
    """Whether it tells of things as they happen, by server-sent events."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that stand in its path."""
        return tuple(_NAME.findall(self.path))

    def read_path(self, path: str) -> Mapping[str, str] | None:
        """Answer what stands in a path for each of its names, or None where it is another's path."""
        parts, own = path.split("/"), self.path.split("/")
        if len(parts) != len(own):
            return None
        named: dict[str, str] = {}
        for part, mine in zip(parts, own, strict=True):
            if (name := _NAME.fullmatch(mine)) is not None and part and len(part) <= MAX_NAME:
                named[name[1]] = part
            elif part != mine:
                return None
        return named

    @property
    def changes(self) -> bool:
        """Whether anything is different afterwards."""
        return self.method not in {"GET", "HEAD"}

    @property
    def has_body(self) -> bool:
        """Whether its parameters are in a body of JSON."""
        return self.method == "POST"


async def read_parameters(endpoint: Endpoint, request: web.BaseRequest, named: Mapping[str, str]) -> Mapping[str, Any]:
    """Read the parameters of a request.

    Args:
        endpoint: What is asked for.
        request: Who asks.
        named: What stands in the path, as `Endpoint.read_path` answers it.

    Raises:
        InvalidCall: One is missing, unknown, or not of its type.
    """
    given = await _read_body(request) if endpoint.has_body else _read_query(request)
    known = {one.name: one for one in endpoint.parameters}
    free = known.keys() - named.keys()
    for name in given:
        if name not in free:
            there = ", ".join(name for name in known if name in free)
            raise InvalidCall(f"no such parameter: {name[:40]!r}; there is {there or 'none'}")
    given |= named
    read: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in given:
            read[name] = _read_value(parameter, given[name], is_text=not endpoint.has_body)
        elif parameter.is_required:
            raise InvalidCall(f"the parameter {name!r} is missing: {parameter.meaning}")
        else:
            read[name] = parameter.default
    return MappingProxyType(read)


def _read_query(request: web.BaseRequest) -> dict[str, Any]:
    names = [name for name, _ in request.query.items()]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise InvalidCall(f"the parameter {twice[:40]!r} is there twice")
    return dict(request.query)


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidCall("a name is there twice in an object of the body")
    return found


async def _read_body(request: web.BaseRequest) -> dict[str, Any]:
    if request.content_type != "application/json":  # what no page from elsewhere can send without asking first
        raise InvalidCall("the body has to be JSON: Content-Type: application/json")
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                content += chunk
                if len(content) > MAX_BODY_BYTES:
                    raise InvalidCall(f"the body is larger than {MAX_BODY_BYTES} bytes")
    except TimeoutError as error:
        raise InvalidCall(f"the body did not come within {BODY_SECONDS} seconds") from error
    try:
        found = json.loads(content, object_pairs_hook=_read_object)
    except (ValueError, RecursionError) as error:
        raise InvalidCall("the body is no JSON") from error
    if not isinstance(found, dict):
        raise InvalidCall("the body has to be an object")
    return found


def _read_value(parameter: Parameter, value: Any, *, is_text: bool) -> Any:
    if is_text and parameter.schema.get("type") == "integer":
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value  # noqa: PLR2004
    if not fits(parameter.schema, value):
        raise InvalidCall(f"the parameter {parameter.name!r} is not what it should be: {parameter.meaning}")
    return value


def fits(schema: Schema, value: Any) -> bool:
    """Tell whether a value is what a schema asks for: as much of JSON Schema as the API uses."""
    if "anyOf" in schema:
        return any(fits(one, value) for one in schema["anyOf"])
    return _FITTING[schema["type"]](schema, value)


def _fits_number(kinds: type | tuple[type, ...]) -> Callable[[Schema, Any], bool]:
    def fits_number(schema: Schema, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, kinds):
            return False
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))

    return fits_number


def _fits_array(schema: Schema, value: Any) -> bool:
    if not isinstance(value, list):
        return False
    is_long_enough = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
    return is_long_enough and all(fits(schema["items"], one) for one in value)


def _fits_object(schema: Schema, value: Any) -> bool:
    if not isinstance(value, dict) or "properties" not in schema:
        return isinstance(value, dict)
    known = schema["properties"]
    is_complete = set(schema["required"]) <= value.keys() <= known.keys()
    return is_complete and all(fits(known[name], one) for name, one in value.items())


_FITTING: Mapping[str, Callable[[Schema, Any], bool]] = {
    "array": _fits_array,
    "boolean": lambda _, value: isinstance(value, bool),
    "integer": _fits_number(int),
    "null": lambda _, value: value is None,
    "number": _fits_number((int, float)),
    "object": _fits_object,
    "string": lambda schema, value: isinstance(value, str) and len(value) <= schema.get("maxLength", len(value)),
}


def describe(endpoints: Iterable[Endpoint], base: str) -> dict[str, Any]:
    """Write the OpenAPI document."""
    paths: dict[str, Any] = {}
    for one in endpoints:
        paths.setdefault(base + one.path, {})[one.method.lower()] = _describe_one(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "polyarch", "version": version.VERSION, "description": "What operators ask polyarch for."},
        "paths": paths,
        "components": {
            "schemas": {"Errors": _ERRORS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ERRORS: Schema = fields(errors=list_of({"type": "object", "required": ["code", "message"]}))
_STATUSES = {
    "400": "a parameter is not what it should be",
    "401": "the token is missing, or the call does not come from this machine",
    "404": "there is no such thing",
    "405": "not by this method",
    "409": "what is to leave is pinned",
    "502": "upstream answers what it should not",
    "503": "the cache or upstream cannot be used now",
}


def _describe_one(endpoint: Endpoint) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}}
    answers: dict[str, Any] = {code: {"description": text, "content": content} for code, text in _STATUSES.items()}
    kind = "text/event-stream" if endpoint.streams else "application/json"
    done = "each event has this for its data" if endpoint.streams else "done"
    answers[str(endpoint.status)] = {"description": done, "content": {kind: {"schema": endpoint.result}}}
    described: dict[str, Any] = {"summary": endpoint.meaning, "responses": answers}
    if endpoint.changes:
        described["security"] = [{"token": []}, {}]
    free = [one for one in endpoint.parameters if one.name not in endpoint.names]
    if endpoint.has_body:
        body = {"application/json": {"schema": _body_schema(free)}}
        described["requestBody"] = {"required": True, "content": body}
        free = []
    if parameters := [*(one for one in endpoint.parameters if one.name in endpoint.names), *free]:
        described["parameters"] = [_describe_parameter(one, endpoint.names) for one in parameters]
    return described


def _describe_parameter(parameter: Parameter, in_path: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "path" if parameter.name in in_path else "query",
        "required": parameter.is_required,
        "description": parameter.meaning,
        "schema": parameter.schema,
    }


def _body_schema(parameters: Iterable[Parameter]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.meaning} for one in parameters},
        "required": [one.name for one in parameters if one.is_required],
        "additionalProperties": False,
    }

"""`GET /whoami`: what this proxy takes a client for, and why; for people who wonder what their machine will get."""

import json
import re

from aiohttp import web

from proxy.arch.compatibility import runs
from proxy.arch.detection import EVIDENCE, AnswerMode, ClientHints, Detection
from proxy.arch.words import find_path_platform
from proxy.oci import media_types
from proxy.oci.errors import NameUnknown
from proxy.server.doors import Listener
from proxy.server.networks import Origin

_PATH = re.compile(r"/(?:(?P<word>[^/]+)/)?whoami")
_CHANNELS = "give it a listener of its own, a client rule for its address, or a platform in its path or header"


def find_whoami(path: str) -> str | None:
    """Answer the platform word before `/whoami`, which may be empty; None for any other path.

    Raises:
        NameUnknown: There is something before it, but no platform.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    word = found["word"] or ""
    if word and find_path_platform(word) is None:
        raise NameUnknown("no such path: what stands before whoami is no platform such as linux-arm-v6")
    return word


def whoami_response(hints: ClientHints, detection: Detection, listener: Listener, origin: Origin) -> web.Response:
    """Write what is known of a client."""
    platform = detection.platform
    told = {
        "platform": str(platform.explicit()) if platform else None,
        "evidence": detection.evidence,
        "answer": str(detection.answer),
        "runs": [str(one.explicit()) for one in runs(platform)] if platform else [],
        "considered": _rows(hints, listener, origin),
        "engine": _engine(detection),
        "address": origin.address,
        "listener": listener.name or "main",
        "upstream": listener.upstream or "docker.io",
        "hint": _hint(detection),
    }
    return web.Response(body=json.dumps(told, indent=2).encode() + b"\n", content_type=media_types.JSON)


def _rows(hints: ClientHints, listener: Listener, origin: Origin) -> list[dict[str, str | None]]:
    shown = {
        "path": hints.path_word,
        "header": hints.header,
        "listener": listener.name,
        "client-rule": origin.network,
        "user-agent": hints.user_agent,
    }
    read = [(name, row(hints)) for name, row in EVIDENCE]
    return [
        {"evidence": name, "shown": shown[name], "platform": str(found.explicit()) if found else None}
        for name, found in read
    ]


def _engine(detection: Detection) -> dict[str, str] | None:
    engine = detection.engine
    if engine is None:
        return None
    return {"product": engine.product, "version": ".".join(str(part) for part in engine.version)}


def _hint(detection: Detection) -> str:
    platform, is_index = detection.platform, detection.answer is AnswerMode.INDEX
    if platform is None:
        choice = "it is answered the index, and chooses by itself" if is_index else "it is answered what amd64 runs"
        return f"nothing tells this client's platform: {choice}; to tell it, {_CHANNELS}"
    if detection.evidence == "user-agent" and platform.architecture == "arm" and platform.variant == "v6":
        return f"a 32-bit ARM is taken for v6 unless its kernel tells more, since v6 runs on all; if so, {_CHANNELS}"
    return ""

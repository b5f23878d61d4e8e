"""`GET /whoami`: what this proxy takes a client for, and why; for people who wonder what their machine will get."""

import json
import re

from aiohttp import web

from proxy.arch.compatibility import runs
from proxy.arch.detection import AnswerMode, Detection
from proxy.arch.tailoring import chooses_well
from proxy.arch.vocabulary import BUILT_IN, Vocabulary
from proxy.oci import media_types
from proxy.oci.errors import NameUnknown
from proxy.oci.references import DOCKER_HUB
from proxy.server.clients import Client

_PATH = re.compile(r"/(?:(?P<word>[^/]+)/)?whoami")
_CHANNELS = "give it a listener of its own, a client rule for its address, or a platform in its path or header"


def find_whoami(path: str, vocabulary: Vocabulary = BUILT_IN) -> str | None:
    """Answer the platform word before `/whoami`, which may be empty; None for any other path.

    Raises:
        NameUnknown: There is something before it, but no platform.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    word = found["word"] or ""
    if word and vocabulary.find_path_platform(word) is None:
        raise NameUnknown("no such path: what stands before whoami is no platform such as linux-arm-v6")
    return word


def whoami_response(client: Client) -> web.Response:
    """Write what is known of a client."""
    return web.Response(
        body=json.dumps(whoami_fields(client), indent=2).encode() + b"\n", content_type=media_types.JSON
    )


def whoami_fields(client: Client) -> dict[str, object]:
    """Answer what is known of a client."""
    detection, listener = client.detection, client.listener
    platform = detection.platform
    return {
        "platform": str(platform.explicit()) if platform else None,
        "evidence": detection.evidence,
        "answer": str(detection.answer),
        "answer_evidence": detection.answer_evidence,
        "runs": [str(one.explicit()) for one in runs(platform)] if platform else [],
        "considered": client.list_evidence(),
        "engine": _engine(detection),
        "address": client.origin.address,
        "listener": listener.name or "main",
        "upstream": listener.upstream or DOCKER_HUB,
        "hint": _hint(detection),
    }


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
    if is_index and not chooses_well(detection):
        return "this client may choose wrongly by itself: where it would, it is answered an index of its own"
    return ""

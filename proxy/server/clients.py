"""Who asks: a client, by all that a request and its way in show of it."""

from dataclasses import dataclass, field

from proxy.arch.choice import Asker
from proxy.arch.detection import EVIDENCE, AnswerMode, ClientHints, Detection
from proxy.arch.vocabulary import BUILT_IN, Vocabulary
from proxy.oci.platforms import Platform
from proxy.server.doors import Listener
from proxy.server.networks import Neighbourhood, Origin
from proxy.server.reading import Readable, hints_of, read_client


@dataclass(frozen=True, slots=True)
class Client:
    """A client, as this proxy sees it."""

    detection: Detection
    hints: ClientHints
    listener: Listener
    origin: Origin
    default: Platform | None

    def make_asker(self, accepted: frozenset[str]) -> Asker:
        """Answer this client as one who asks for a tag, and accepts these media types."""
        return Asker(self.detection, accepted, wants_manifest=self.detection.answer is AnswerMode.MANIFEST)

    def list_evidence(self) -> list[dict[str, str | None]]:
        """Answer every row of evidence, strongest first: what was shown, and the platform that was read out of it."""
        shown = {
            "path": self.hints.path_word,
            "header": self.hints.header,
            "listener": self.listener.name,
            "client-rule": self.origin.network,
            "user-agent": self.hints.user_agent,
        }
        rows = [(name, shown[name], row(self.hints)) for name, row in EVIDENCE]
        return [
            {"evidence": name, "shown": text, "platform": str(found.explicit()) if found else None}
            for name, text, found in [*rows, ("default", str(self.default or ""), self.default)]
        ]


@dataclass(frozen=True, slots=True)
class Clients:
    """How clients are told apart, beside what they show of themselves."""

    neighbourhood: Neighbourhood = field(default_factory=Neighbourhood)
    default_platform: Platform | None = None
    vocabulary: Vocabulary = BUILT_IN
    """The words for platforms that clients may write."""

    def see(self, request: Readable, path_word: str, listener: Listener) -> Client:
        """Answer who sends a request.

        Args:
            request: The request.
            path_word: The platform word that stood in its path, or nothing.
            listener: What it came in by.
        """
        origin = self.neighbourhood.locate(request.remote, request.headers.getall("X-Forwarded-For", ()))
        hints = hints_of(request, path_word, listener.assignment, origin.rule, self.vocabulary)
        detection = read_client(hints, self.default_platform)
        return Client(detection, hints, listener, origin, self.default_platform)

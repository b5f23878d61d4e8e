"""Which server this is, shown to who knows its secret: a port that is still written down may be somebody else's by now.

Who asks sends a random challenge, and the server answers with what only the secret makes of it (HMAC-SHA256). Neither
tells the secret, and an answer that was heard before answers no other challenge.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

CHALLENGE, PROOF = "Polyarch-Challenge", "Polyarch-Proof"
"""The headers of the question, which goes with a request for `/healthz`, and of the answer."""
_CHALLENGE = re.compile(r"[0-9a-f]{32,128}")


def make_challenge() -> str:
    """Draw what is asked."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server is known by, from its start to its end."""

    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    def answer(self, challenge: str) -> str | None:
        """Answer a challenge; None where it is none."""
        if not _CHALLENGE.fullmatch(challenge):
            return None
        return hmac.new(self.secret.encode(), f"polyarch {challenge}".encode(), hashlib.sha256).hexdigest()

    def is_proven(self, challenge: str, shown: str) -> bool:
        """Tell whether an answer to a challenge comes from who has the secret."""
        expected = self.answer(challenge)
        return expected is not None and hmac.compare_digest(expected.encode(), shown.encode(errors="surrogatepass"))

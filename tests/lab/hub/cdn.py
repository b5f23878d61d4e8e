"""The CDN: signed addresses, no credentials."""

from dataclasses import dataclass
from http import HTTPStatus

from tests.lab.hub.answers import Answer, plain
from tests.lab.hub.asked import Asked
from tests.lab.hub.backend import Backend
from tests.lab.hub.tokens import TokenMint


@dataclass(frozen=True, slots=True)
class Cdn:
    """Serves a blob to whoever brings a signed address."""

    backend: Backend
    mint: TokenMint

    def address(self, repository: str, digest: str) -> str:
        """Return path and query under which a blob can be had for a while."""
        path = f"/cdn/{repository}/blobs/{digest}/data"
        return f"{path}?{self.mint.sign_address(path)}"

    async def answer(self, asked: Asked) -> Answer:
        """Answer one request, as object stores do."""
        if asked.on_cdn and "Authorization" in asked.headers:
            return _refuse(HTTPStatus.BAD_REQUEST, "Only one auth mechanism allowed")
        if not self.mint.address_is_good(asked.path, asked.query.get("verify", "")):
            return _refuse(HTTPStatus.FORBIDDEN, "the signature is wrong or has run out")
        blob = await self.backend.blob(asked.repository, asked.reference, asked.headers)
        return blob or _refuse(HTTPStatus.NOT_FOUND, "no such object")


def _refuse(status: HTTPStatus, message: str) -> Answer:
    return plain(f"<Error><Message>{message}</Message></Error>".encode(), "application/xml", status=status)

"""Signatures as cosign makes them: a tag beside the image, or a referrer, that holds a signed claim on its digest."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from tests.lab import tools
from tests.lab.images import OCI_CONFIG, OCI_MANIFEST, Blob, Image, Platform
from tests.lab.programs import run

_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"


def signature_tag(digest: str) -> str:
    """Answer the tag under which cosign looks for an image's signature."""
    return f"{digest.replace(':', '-')}.sig"


@dataclass(frozen=True, slots=True)
class Signer:
    """An ECDSA key of one's own, in a folder."""

    folder: Path

    async def create_key(self) -> None:
        """Make the two keys."""
        curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        await self._openssl("genpkey", *curve, "-out", str(self._private))
        await self._openssl("pkey", "-in", str(self._private), "-pubout", "-out", str(self._public))

    async def sign(self, subject: Blob, repository: str) -> Image:
        """Answer the signature of a manifest, as an image that refers to it."""
        claim = {
            "critical": {
                "identity": {"docker-reference": f"docker.io/{repository}"},
                "image": {"docker-manifest-digest": subject.digest},
                "type": "cosign container image signature",
            }
        }
        payload = Blob.of(_PAYLOAD, json.dumps(claim).encode())
        (self.folder / "payload").write_bytes(payload.content)
        signature = self.folder / "signature"
        await self._openssl(
            "dgst", "-sha256", "-sign", str(self._private), "-out", str(signature), str(self.folder / "payload")
        )
        notes = {_SIGNATURE: base64.b64encode(signature.read_bytes()).decode()}
        config = Blob.of(OCI_CONFIG, json.dumps({"rootfs": {"type": "layers", "diff_ids": [payload.digest]}}).encode())
        content = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor(),
            "layers": [{**payload.descriptor(), "annotations": notes}],
            "subject": subject.descriptor(),
        }
        manifest = Blob.of(OCI_MANIFEST, json.dumps(content).encode())
        return Image(Platform("unknown", "unknown"), manifest, config, (payload,))

    async def verify(self, manifest: bytes, payload: bytes, digest: str) -> None:
        """Raise unless a signature's manifest and payload, as they were fetched, vouch for the digest."""
        (layer,) = json.loads(manifest)["layers"]
        assert json.loads(payload)["critical"]["image"]["docker-manifest-digest"] == digest
        (self.folder / "fetched").write_bytes(payload)
        signature = self.folder / "fetched-signature"
        signature.write_bytes(base64.b64decode(layer["annotations"][_SIGNATURE]))
        files = ("-signature", str(signature), str(self.folder / "fetched"))
        await self._openssl("dgst", "-sha256", "-verify", str(self._public), *files)

    @property
    def _private(self) -> Path:
        return self.folder / "key.pem"

    @property
    def _public(self) -> Path:
        return self.folder / "public.pem"

    async def _openssl(self, *arguments: str) -> None:
        (await run(tools.require("openssl"), *arguments)).check()

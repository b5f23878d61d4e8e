"""Uploading built images to a registry, over plain HTTP."""

import httpx

from tests.lab.images import Blob, Document, Image, Index


async def push(document: Document, repository: str, tag: str, *, registry_url: str) -> None:
    """Upload an image, or an index with all it lists, and point the tag at it."""
    async with httpx.AsyncClient(base_url=f"{registry_url}/v2/{repository}/", trust_env=False, timeout=60) as client:
        if isinstance(document, Index):
            for image in (*document.images, *document.attestations):
                await _push_image(client, image, image.manifest.digest)
            await _push_manifest(client, document.manifest, tag)
        else:
            await _push_image(client, document, tag)


async def _push_image(client: httpx.AsyncClient, image: Image, reference: str) -> None:
    for blob in (image.config, *image.layers):
        await _push_blob(client, blob)
    await _push_manifest(client, image.manifest, reference)


async def _push_blob(client: httpx.AsyncClient, blob: Blob) -> None:
    if (await client.head(f"blobs/{blob.digest}")).is_success:
        return
    started = (await client.post("blobs/uploads/")).raise_for_status()
    address = httpx.URL(started.headers["Location"]).copy_merge_params({"digest": blob.digest})
    headers = {"Content-Type": "application/octet-stream"}
    (await client.put(address, content=blob.content, headers=headers)).raise_for_status()


async def _push_manifest(client: httpx.AsyncClient, manifest: Blob, reference: str) -> None:
    headers = {"Content-Type": manifest.media_type}
    answer = await client.put(f"manifests/{reference}", content=manifest.content, headers=headers)
    answer.raise_for_status()

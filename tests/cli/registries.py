"""A registry in a thread of its own, for commands that are called in this one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.lab.images import Blob, Image


def documents_of(images: Mapping[str, Image]) -> dict[str, Blob]:
    """Answer what a registry with these images, by `repository:tag`, holds by path."""
    found: dict[str, Blob] = {}
    for name, image in images.items():
        repository, _, tag = name.rpartition(":")
        for target in (tag, image.manifest.digest):
            found[f"/v2/{repository}/manifests/{target}"] = image.manifest
        for blob in (image.config, *image.layers):
            found[f"/v2/{repository}/blobs/{blob.digest}"] = blob
    return found


@contextmanager
def serving(documents: Mapping[str, Blob]) -> Iterator[str]:
    """Serve documents by path, and 404 for any other; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = documents.get(self.path)
            content = b"" if found is None else found.content
            self.send_response(404 if found is None else 200)
            if found is not None:
                self.send_header("Content-Type", found.media_type)
                self.send_header("Docker-Content-Digest", found.digest)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()

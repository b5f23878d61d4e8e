"""A program that stands in for buildah: it prints what buildah prints, and writes what it writes."""

import sys
from pathlib import Path

_PROGRAM = """\
#!{python}
import hashlib, json, pathlib, sys
(command, *words), here = sys.argv[1:], pathlib.Path({folder!r})
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if command == "push":
    folder = pathlib.Path(words[1].split(":")[1])
    (folder / "blobs" / "sha256").mkdir(parents=True)
    def put(content):
        digest = hashlib.sha256(content).hexdigest()
        (folder / "blobs" / "sha256" / digest).write_bytes(content)
        return {{"digest": "sha256:" + digest, "size": len(content)}}
    layer = {{**put(words[0].encode()), "mediaType": "application/vnd.oci.image.layer.v1.tar"}}
    config = put(json.dumps({{"os": "linux", "architecture": "arm", "variant": "v7", "rootfs": {{}}}}).encode())
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    kind = "application/vnd.oci.image.manifest.v1+json"
    fields = {{"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}}
    index = {{"schemaVersion": 2, "manifests": [{{**put(json.dumps(fields).encode()), "mediaType": kind}}]}}
    (folder / "index.json").write_text(json.dumps(index))
else:
    options = dict(word.partition("=")[::2] for word in words)
    steps = [line for line in pathlib.Path(options["--file"]).read_text().splitlines() if line and line[0] != "#"]
    for number, step in enumerate(steps, 1):
        print(f"STEP {{number}}/{{len(steps)}}: {{step}}", flush=True)
        if "false" in step:
            print("Error: building at STEP: exit status 1", file=sys.stderr)
            sys.exit(125)
"""


def install_builder(folder: Path, name: str = "buildah") -> Path:
    """Put the program into a folder, which then is a `PATH`; answer the file of its calls."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    return folder / "calls"

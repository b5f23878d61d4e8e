"""Programs that stand in for builders: they print what those print, and write what those write."""

import sys
from pathlib import Path

_PROGRAM = """\
#!{python}
import hashlib, io, json, pathlib, sys, tarfile
(command, *words), here = sys.argv[1:], pathlib.Path({folder!r})
is_docker, has_buildx = pathlib.Path(sys.argv[0]).name == "docker", {has_buildx!r}
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
config = {{"os": "linux", "architecture": "arm", "variant": "v7", "rootfs": {{}}}}
options = dict(word.partition("=")[::2] for word in words)
if command == "push":
    folder = pathlib.Path(words[-1].removeprefix("dir:"))
    folder.mkdir()
    def put(content):
        digest = hashlib.sha256(content).hexdigest()
        (folder / digest).write_bytes(content)
        return {{"digest": "sha256:" + digest, "size": len(content)}}
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    layer = {{**put(words[-2].encode()), "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}}
    config = {{**put(json.dumps(config).encode()), "mediaType": "application/vnd.docker.container.image.v1+json"}}
    fields = {{"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}}
    (folder / "manifest.json").write_text(json.dumps(fields))
elif command == "save":
    listed = json.dumps([{{"Config": "c.json", "RepoTags": [words[-1]], "Layers": ["l/layer.tar"]}}])
    with tarfile.open(options["--output"], "w") as archive:
        for name, content in (("c.json", json.dumps(config)), ("l/layer.tar", words[-1]), ("manifest.json", listed)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
elif words[:1] == ["version"]:
    sys.exit(0 if has_buildx else 1)
else:
    text = pathlib.Path(options["--file"]).read_text()
    image = hashlib.sha256((options["--platform"] + text).encode()).hexdigest()
    ignored = pathlib.Path(options["--file"] + ".dockerignore")
    if ignored.exists():
        print("ignores " + ignored.read_text())
    steps = [line for line in text.splitlines() if line and line[0] != "#"]
    for number, step in enumerate(steps, 1):
        if command == "buildx":
            print(f"#{{number}} [{{number}}/{{len(steps)}}] {{step}}", flush=True)
        elif is_docker:
            print(f"Step {{number}}/{{len(steps)}} : {{step}}", flush=True)
        else:
            print(f"STEP {{number}}/{{len(steps)}}: {{step}}", flush=True)
        if "unreadable" in step:
            sys.exit(options["--file"] + ": unreadable")
        if "false" in step:
            print("Error: building at STEP: exit status 1", file=sys.stderr)
            sys.exit(125)
    pathlib.Path(options["--iidfile"]).write_text(f"sha256:{{image}}")
"""


def install_builder(folder: Path, name: str = "buildah", *, has_buildx: bool = False) -> Path:
    """Put a program into a folder, which then is a `PATH`; answer the file of its calls."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder), has_buildx=has_buildx))
    program.chmod(0o755)
    return folder / "calls"

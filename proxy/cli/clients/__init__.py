"""Texts that make a client pull through the proxy, one file a client; and what is wrong with those that are there.

- `addresses`: where clients reach the proxy; `setups`: what is wished for, and the files that come of it.
- `docker`, `containerd`, `k3s`, `registries_conf` (podman, buildah, skopeo, CRI-O), `buildkit`: a client each. `write`
  answers the files, `review` reads one that is in place.
- `reviews`: all files of a machine, read together; `findings`: what is right or wrong; `machines`: what a machine is.

Nothing here reads or writes a file: texts come in, texts go out. The traps are those of clients.md §2 and §7.
"""

"""Conditional Dockerfiles: `IFARCH` … `ELSE` … `ENDIFARCH` and `TAGARCH`, read, and rendered for one architecture.

- `statements`: a Dockerfile cut into instructions as BuildKit cuts it, with every byte kept.
- `conditions`: the four words of our own, read into a tree; what is wrong is said with line and caret.
- `rendering`: the plain Dockerfile for one architecture.
- `groups`: which architectures are built once, and which are tagged on.
- `stages`: all of them in one plain multi-stage Dockerfile, for builders that choose by themselves.
"""

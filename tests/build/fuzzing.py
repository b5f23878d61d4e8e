"""The fuzzer of the Dockerfile language: atheris, led by coverage, over fragments and over whatever comes.

By hand, as long as wanted (`pip install atheris`):

    python -m tests.build.fuzzing -max_total_time=600
"""

import sys
from collections import Counter
from collections.abc import Sequence
from importlib import import_module

FRAGMENTS = (
    *("FROM a\n", "FROM b AS build\n", "FROM build\n", "from $I as base\n", "FROM base-${TARGETARCH}\n"),
    *("FROM \\\n  # why\n  a \\\n  AS c\n", "FROM --platform=$BUILDPLATFORM a AS tools\n", "FROM\n"),
    *("IFARCH arm7\n", "ifarch rpi x86-64\n", "IFARCH arm8 \\\n  arm6\n", "ELSE\n", "ENDIFARCH\n", "EndIfArch\r\n"),
    *("TAGARCH arm7\n", "TAGARCH rpi arm7 arm8\n", "IFARCH x9\n", "IFARCH"),
    *("ARG I=build\n", "ARG I\n", "ARG TARGETARCH\n", "ENV A=<<E\n"),
    *("RUN x\n", "RUN y \\\n  z\n", "RUN <<E\nFROM q\nE\n", "RUN <<-E\n\tIFARCH\n\tE\n", "RUN <<E", "RUN x \\", "E\n"),
    *("COPY --from=build a b\n", "COPY --from=0 a b\n", 'COPY --from="1" a b\n', "COPY <<E <<F /x/\n1\nE\n2\nF\n"),
    *("RUN --mount=type=bind,from=build,target=/x y\n", "ADD a\n", "CPOY a b\n", "CMD c\n", "CMD"),
    *("ONBUILD COPY --from=0 a b\n", "ONBUILD RUN <<E\nx\nE\n", "ONBUILD TAGARCH arm7\n"),
    *("# escape=`\n", "# syntax=docker/dockerfile:1\n", "# note\n", "#", "RUN d `\n  e\n", "\ufeff", "\ufeffFROM a\n"),
    *("\n", "\r\n", " ", "\t", "\\\n", "\\ \n", "'", '"', "<<", "\u2028", "\xa0", "\x0b", "\r", "x"),
)
"""Of what Dockerfiles are made, and what they break on."""


def text_of(content: bytes) -> str:
    """Make a text of bytes: each is a fragment, unless the first says that they are a text themselves."""
    if content[:1] == b"\xff":
        return content[1:].decode(errors="replace")
    return "".join(FRAGMENTS[byte % len(FRAGMENTS)] for byte in content)


def main(arguments: Sequence[str]) -> None:
    """Fuzz until something is wrong, or the time is over; say how far texts came."""
    atheris = import_module("atheris")  # installed by who wants it, and without types
    with atheris.instrument_imports(include=["proxy"]):
        from tests.build.invariants import examine

    seen = Counter[str]()

    def test_one(content: bytes) -> None:
        seen[examine(text_of(content))] += 1
        if sum(seen.values()) % 20_000 == 0:
            sys.stderr.write(f"{sum(seen.values())} texts: {dict(seen)}\n")

    atheris.Setup(list(arguments), test_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)

"""Dockerfiles of every shape, written for the tests, and strategies for more."""

from hypothesis import strategies as st

FORUM = """\
# debian:jessie
FROM scratch

# Unpack Debian x86-64 architecture base
IFARCH x86-64
ADD rootfs-x64.tar.xz /
ENDIFARCH

# Unpack the Raspberry Pi base if it's any of these four archs
IFARCH arm7 arm8 arm8.1 rpi
ADD rootfs-rpi.tar.xz /
# This image is compatible with any of these architectures,
# and does not get built or stored separately for them all
TAGARCH arm7 arm8 arm8.1 rpi
ENDIFARCH

RUN \\
     export DEBCONF_FRONTEND=noninteractive \\
  && apt-get update \\
  && apt-get clean

CMD ["/bin/bash"]
"""
"""The forum proposal's example, with the destinations that `ADD` demands."""

PLAIN = (
    "FROM debian\n",
    "from debian",
    "",
    "\n\n",
    "# only a comment",
    "FROM debian\r\nRUN a \\\r\n  && b\r\n",
    "# syntax=docker/dockerfile:1\nFROM a\n",
    "# syntax = docker/dockerfile:1\n# escape = `\nFROM a\nRUN dir c:\\\nRUN dir `\n  c:\\\n",
    "# escape=`\n\nFROM mcr.microsoft.com/windows\nCOPY a b\\\nRUN c\n",
    "# check=skip=all\nFROM a\n",
    "\ufeff# escape=`\nFROM a\nRUN b `\n c\n",
    "\ufeffFROM a\n",
    "ARG TAG=1\nFROM a:${TAG}\nARG TAG\n",
    "ARG A\nARG B=c\nFROM a AS b\nFROM b\n",
    "FROM --platform=$BUILDPLATFORM golang AS build\nFROM scratch\nCOPY --from=build /a /b\n",
    "FROM a\nRUN <<EOF\nIFARCH arm7\nENDIFARCH\nEOF\n",
    "FROM a\nRUN <<-EOF\n\techo IFARCH\n\tEOF\nRUN b\n",
    "FROM a\nCOPY <<one <<two /dir/\nFROM nothing\none\nTAGARCH x\ntwo\nRUN c\n",
    "FROM a\nRUN <<'EOF' sh\n$A\nEOF\n",
    'FROM a\nRUN <<"EOF" sh\n$A\nEOF\n',
    "FROM a\nRUN <<\\EOF sh\n$A\nEOF\n",
    "FROM a\nRUN 3<<EOF sh\nx\nEOF\n",
    "FROM a\nRUN cat <<EOF \\\n  > /x\nbody \\\nEOF\n",
    "FROM a\nRUN <<EOF\nnever closed\n",
    "FROM a\nONBUILD RUN <<EOF\nENDIFARCH\nEOF\n",
    "FROM a\nONBUILD COPY . /app\nONBUILD\n",
    "FROM a\nRUN echo $((1<<2))\nRUN b\n",
    "FROM a\nRUN cat <<< word\nRUN b\n",
    'FROM a\nRUN echo "<<EOF"\nRUN b\n',
    'FROM a\nRUN ["echo", "<<EOF"]\nRUN b\n',
    "FROM a\nENV A=<<EOF\nRUN b\n",
    "FROM a\nRUN a \\\n# a comment in between\n  && b\n",
    "FROM a\nRUN a \\\n\n\n  && b\n",
    "FROM a\nRUN a \\\n",
    "FROM a\nRUN a \\",
    "FROM a\nRUN a \\   \n  b\n",
    "FROM a\nRUN a \\\\\nRUN b\n",
    "FROM a\n\\\nRUN b\n",
    "   FROM a\n\t RUN b\n",
    "FROM a\n  # an indented comment\nRUN b\n",
    "FROM a\nRUN echo IFARCH\n",
    "FROM a\nRUN \\\nIFARCH arm7 \\\n && b\n",
    "FROM a\nLABEL IFARCH=yes ENDIFARCH=no\n",
    "FROM a\n# IFARCH arm7\nRUN b\n# ENDIFARCH\n",
    "FROM a\nHEALTHCHECK --interval=5m CMD curl -f http://localhost/ || exit 1\n",
    'FROM a\nSHELL ["powershell", "-command"]\nRUN Write-Host hello\n',
    "FROM a\nUSER 1000:1000\nWORKDIR /app\nVOLUME /data\nEXPOSE 80/tcp\nSTOPSIGNAL SIGTERM\n",
    "FROM a\nRUN --mount=type=cache,target=/x --network=none b\n",
    "FROM a\nCOPY --chmod=755 --link a b\n",
    "FROM a\nADD --checksum=sha256:00 https://example.org/a /\n",
    "FROM a\nMAINTAINER somebody\n",
    "FROM a\nENTRYPOINT exec top -b\nCMD []\n",
    "FROM a\nRUN echo 'one\n  two'\n",
    "FROM a\nRUN echo \u2028 \u0085 \x0b \x0c\nRUN b\n",
    "FROM a\n\x00\n",
    "FROM a\rRUN b\n",
)
"""Files with none of our words, or none that count."""

_archs = st.sampled_from(["arm7", "arm6", "rpi", "x86-64", "linux/arm64", "ARM8", "i386", "arm8.1", "s390x"])
_plain_lines = st.sampled_from(
    ["FROM a\n", "RUN b\n", "\n", "# note\n", "RUN c \\\n  && d\n", "COPY <<EOF /x\nIFARCH\nEOF\n", "CMD e\r\n"]
)
_archs_of = st.lists(_archs, min_size=1, max_size=3).map(" ".join)


def _block(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    inner = st.lists(parts, max_size=3).map("".join)
    return st.builds(_write_block, _archs_of, inner, st.none() | inner)


def _write_block(archs: str, then: str, otherwise: str | None) -> str:
    if otherwise is None:
        return f"IFARCH {archs}\n{then}ENDIFARCH\n"
    return f"ifarch {archs}\n{then}Else\n{otherwise}  EndIfArch\n"


conditional = st.lists(
    st.recursive(_plain_lines | _archs_of.map("TAGARCH {}\n".format), _block, max_leaves=8), max_size=6
).map("".join)
"""Files with blocks and tags."""
anything = st.text(max_size=200) | st.lists(
    st.sampled_from(
        ["IFARCH", "ELSE", "ENDIFARCH", "TAGARCH", " arm7", " rpi", "\n", "\\\n", "RUN <<A", "A", "#", "\r\n"]
    ),
    max_size=20,
).map("".join)
"""Whatever somebody may call a Dockerfile."""

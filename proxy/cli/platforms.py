"""`polyarch platforms`: what people call each platform, what it runs, and what may go wrong with a word."""

import dataclasses
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from proxy.arch.candidates import Template, official_templates, proposal_templates
from proxy.arch.compatibility import runs
from proxy.arch.kernels import FLOOR, ROWS
from proxy.arch.user_agents import parse_user_agent
from proxy.arch.vocabulary import Vocabulary
from proxy.arch.words import find_trap, list_origins
from proxy.cli.cache import as_json_text, json_option
from proxy.cli.options import read_settings
from proxy.oci.platforms import Platform

WIDTH = 100
_INDENT, _LABEL_WIDTH = "  ", 12
_OWN = "your configuration"
_PLATFORM_ITSELF = "the platform itself"
_ANY_ARM = "os/linux arch/arm kernel/…: "
"""No engine tells its variant of ARM; its kernel may."""


@dataclass(frozen=True, slots=True)
class _PlatformCard:
    """What there is to say of a platform."""

    platform: str
    runs: list[str]
    """What a machine of it runs, best first."""
    words: list[str]
    path: list[str]
    """What may stand for it in a path."""
    official_namespaces: list[str]
    proposal_namespaces: list[str]
    """Looked into on registries of one's own only, unless the operator says otherwise."""
    shown_by: list[str]
    """By what a client's User-Agent shows it."""
    traps: dict[str, str]


@dataclass(frozen=True, slots=True)
class _WordCard:
    """What there is to say of a word."""

    word: str
    platform: str
    said_by: list[str]
    trap: str
    runs: list[str]
    path: list[str]


@click.command()
@click.argument("words", metavar="[WORD]...", nargs=-1)
@json_option
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="The configuration file (TOML).")
def platforms(words: Sequence[str], *, as_json: bool, config_file: Path | None) -> None:
    """Show every platform, what it runs best first, and the words for it; or what each WORD means.

    A word may be written wherever a platform is: in settings, options and headers; those after "path", in paths too.
    """
    vocabulary = read_settings(config_file, cache=None, upstream=None).words
    if words:
        explained = [_explain_word(word, vocabulary) for word in words]
        shown = as_json_text([dataclasses.asdict(one) for one in explained]) if as_json else _write(explained)
    else:
        cards = [_describe(platform, vocabulary) for platform in vocabulary.list_platforms()]
        shown = as_json_text([dataclasses.asdict(card) for card in cards]) if as_json else _write(cards)
    click.echo(shown)


def _explain_word(text: str, vocabulary: Vocabulary) -> _WordCard:
    platform = vocabulary.parse_platform(text)
    word = text.strip().lower()
    own = [_OWN] if word in dict(vocabulary.aliases) else []
    said_by = [*own, *list_origins(word)] or [_PLATFORM_ITSELF]
    # linux/armhf is the word's meaning, and so has its traps.
    trap = find_trap(word) or find_trap(word.partition("/")[2])
    return _WordCard(word, str(platform), said_by, trap, _run_by(platform), _path_words(platform, vocabulary))


def _describe(platform: Platform, vocabulary: Vocabulary) -> _PlatformCard:
    words = vocabulary.list_words(platform)
    return _PlatformCard(
        str(platform),
        runs=_run_by(platform),
        words=list(words),
        path=_path_words(platform, vocabulary),
        official_namespaces=_namespaces(official_templates(), platform),
        proposal_namespaces=_namespaces(proposal_templates(), platform),
        shown_by=_list_signs(platform),
        traps={word: trap for word in words if (trap := find_trap(word))},
    )


def _run_by(platform: Platform) -> list[str]:
    return [str(one) for one in runs(platform)]


def _path_words(platform: Platform, vocabulary: Vocabulary) -> list[str]:
    words = [*vocabulary.list_words(platform), str(platform).replace("/", "-")]
    return [word for word in words if vocabulary.find_path_platform(word) == platform]


def _namespaces(templates: Iterable[Template], platform: Platform) -> list[str]:
    return [f"{one.pattern.partition('/')[0]}/" for one in templates if one.platform == platform]


def _list_signs(platform: Platform) -> list[str]:
    """Answer what a User-Agent holds that shows a platform: none does for the levels of a processor."""
    told = f"os/{platform.os} arch/{platform.architecture}"
    if platform.architecture == "arm":
        kernels = [f"{_ANY_ARM}{row.seen_on}" for row in ROWS if row.variant == platform.variant]
        return [*kernels, f"{_ANY_ARM}any other one"] if platform.variant == FLOOR else kernels
    engine = parse_user_agent(f"docker/28 {told}")
    return [told] if engine is not None and engine.platform == platform else []


def _write(cards: Sequence[_PlatformCard | _WordCard]) -> str:
    return "\n\n".join(_write_platform(one) if isinstance(one, _PlatformCard) else _write_word(one) for one in cards)


def _write_platform(card: _PlatformCard) -> str:
    return "\n".join(
        [
            card.platform,
            _line("runs", ", ".join(card.runs)),
            _line("words", ", ".join(card.words)),
            _line("path", ", ".join(card.path) or "-"),
            _line("builds in", _write_namespaces(card) or "-"),
            _line("shown by", _write_signs(card) or "no User-Agent"),
            *(_line("beware", f"{', '.join(words)}: {trap}") for trap, words in _group(card.traps).items()),
        ]
    )


def _write_namespaces(card: _PlatformCard) -> str:
    official, proposal = ", ".join(card.official_namespaces), ", ".join(card.proposal_namespaces)
    return "; ".join(
        [*([official] if official else []), *([f"on registries of your own {proposal}"] if proposal else [])]
    )


def _write_signs(card: _PlatformCard) -> str:
    kernels = [sign.removeprefix(_ANY_ARM) for sign in card.shown_by if sign.startswith(_ANY_ARM)]
    return f"arch/arm, and a kernel of these: {'; '.join(kernels)}" if kernels else "; ".join(card.shown_by)


def _group(traps: dict[str, str]) -> dict[str, list[str]]:
    """Answer the words of each trap."""
    words: dict[str, list[str]] = {}
    for word, trap in traps.items():
        words.setdefault(trap, []).append(word)
    return words


def _write_word(card: _WordCard) -> str:
    return "\n".join(
        [
            f"{card.word}: {card.platform}",
            _line("said by", ", ".join(card.said_by)),
            *([_line("beware", card.trap)] if card.trap else []),
            _line("runs", ", ".join(card.runs)),
            _line("path", ", ".join(card.path) or "-"),
        ]
    )


def _line(label: str, text: str) -> str:
    first = f"{_INDENT}{label:<{_LABEL_WIDTH}}"
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )

"""What the settings mean: the values that the running parts work with. Nothing is opened here.

Belongs here: whatever follows from the settings alone. What is made of it is in `wiring.py`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from proxy.arch.aliases import AliasMode
from proxy.arch.candidates import Template, official_templates, proposal_templates
from proxy.arch.resolution import Policy
from proxy.config.resolving import CandidateSettings
from proxy.config.schema import Settings
from proxy.config.serving import ListenerSettings
from proxy.config.upstreams import UpstreamSettings
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import DOCKER_HUB, normalise_registry
from proxy.server.access import Access, Reading
from proxy.server.clients import Clients
from proxy.server.doors import Door, Listener
from proxy.server.networks import ClientRule, Neighbourhood
from proxy.service.download import FillPolicy
from proxy.service.freshness import Freshness
from proxy.service.occupancy import Limits
from proxy.service.schedules import Schedule
from proxy.service.standing_orders import StandingOrder
from proxy.service.warming import WarmLimits

AHEAD_SHARE = 0.2
"""The last part of a tag's time in which a request for it lets it be asked for anew."""
MIN_FREE_BYTES, MIN_FREE_SHARE = 1024**3, 0.05
"""What is left free of the cache's disk: the smaller of the two. A gigabyte lets a system update itself and write its
logs; but of a Pi's card of 8 GB, or a small disk of the cache's own, that would be too much to ask for."""


def list_doors(settings: Settings) -> Iterator[tuple[tuple[str, int], Path | None, Path | None, Door]]:
    """Answer every address to listen at, the server's own first, with its certificate and key, and its door."""
    main = settings.server
    listeners: dict[tuple[str, int], list[ListenerSettings]] = {main.listen: []}
    for one in settings.listener:
        listeners.setdefault(one.listen or main.listen, []).append(one)
    for listen, several in listeners.items():
        own = next((one for one in several if one.tls_certificate is not None), None)
        certificate, key = (own.tls_certificate, own.tls_key) if own else (None, None)
        if listen == main.listen and own is None:
            certificate, key = main.tls_certificate, main.tls_key
        yield listen, certificate, key, Door(_listener(one) for one in several)


def _listener(settings: ListenerSettings) -> Listener:
    host, port = settings.listen or ("", 0)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    name, upstream = settings.host or address, normalise_registry(settings.upstream)
    return Listener(name, settings.host, settings.assignment, "" if upstream == DOCKER_HUB else upstream)


def build_clients(settings: Settings) -> Clients:
    """Answer how clients are told apart where no listener and no header does it."""
    rules = [ClientRule(network, one.assignment) for one in settings.client for network in one.network]
    neighbourhood = Neighbourhood(rules, settings.server.trusted_proxies)
    return Clients(neighbourhood, settings.resolution.default_platform, settings.words)


def build_access(settings: Settings) -> Access:
    """Answer who may use the API.

    Raises:
        InvalidSetting: The token's file cannot be read, or is empty.
    """
    api = settings.api
    token = api.token
    if api.token_file is not None:
        try:
            token = api.token_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InvalidSetting(f"api.token_file {api.token_file}: {reason}") from error
        if not token:
            raise InvalidSetting(f"api.token_file {api.token_file} is empty")
    if token and not (token.isascii() and token.isprintable() and token == token.strip()):
        raise InvalidSetting("api.token cannot be sent in a header: it is plain letters, digits and signs on one line")
    return Access(Reading(api.read), token or None, settings.server.trusted_proxies)


def cache_limits(settings: Settings, cache: Path) -> Limits:
    """Answer how large the cache may become: unless something else is set, all of its disk but for a small part."""
    free = settings.cache.min_free_bytes
    if free is None:
        free = min(MIN_FREE_BYTES, int(shutil.disk_usage(cache).total * MIN_FREE_SHARE))
    return Limits(settings.cache.max_bytes, free)


def list_private(settings: Settings) -> frozenset[str]:
    """Answer the upstreams that are asked with credentials."""
    return frozenset(normalise_registry(upstream.name) for upstream in settings.upstreams if upstream.username)


def build_fill_policy(settings: Settings) -> FillPolicy:
    """Answer how downloads go on."""
    return FillPolicy(keep_without_clients=settings.fill.keep_without_clients)


def build_freshness(settings: Settings, upstream: UpstreamSettings) -> Freshness:
    """Answer for how long what an upstream said is believed."""
    tag_ttl = settings.cache.tag_ttl if upstream.tag_ttl is None else upstream.tag_ttl
    return Freshness(
        tag_seconds=tag_ttl,
        absent_seconds=settings.cache.absent_ttl if upstream.absent_ttl is None else upstream.absent_ttl,
        candidate_absent_seconds=settings.candidates.absent_ttl,
        retry_seconds=settings.cache.retry_interval,
        stale_seconds=settings.cache.stale_limit,
        ahead_seconds=tag_ttl * AHEAD_SHARE if settings.cache.refresh_ahead else 0.0,
    )


def build_policy(settings: Settings, upstream: UpstreamSettings) -> Policy:
    """Answer what is resolved, and how, for one upstream."""
    resolution, name = settings.resolution, normalise_registry(upstream.name)
    # Whoever is assigned a platform is to be served it, too.
    said = [one.platform for one in settings.listener] + [one.platform for one in settings.client]
    assigned = [platform for platform in (*said, resolution.default_platform) if platform is not None]
    return Policy(
        tuple(dict.fromkeys((*resolution.fleet, *assigned))),
        _templates(settings, upstream),
        refuse_missing=resolution.on_missing == "refuse",
        rules=tuple(image.rule for image in settings.image if normalise_registry(image.registry) == name),
        aliases=AliasMode(settings.index.aliases),
    )


def asks_proposal(candidates: CandidateSettings, upstream: UpstreamSettings) -> bool:
    """Tell whether the forum proposal's namespaces are looked into: never where strangers may own them, unasked."""
    return candidates.proposal == "on" or (candidates.proposal == "auto" and not upstream.is_public)


def list_standing_orders(settings: Settings) -> tuple[StandingOrder, ...]:
    """Answer what is warmed again and again."""
    return tuple(
        StandingOrder(
            images=one.images,
            platforms=one.platforms or settings.resolution.fleet,
            schedule=Schedule(every=one.every or 0.0, cron=one.cron, jitter=one.jitter),
            limits=WarmLimits(one.parallel, one.reserve),
            with_attestations=one.attestations,
            is_pinned=one.pin,
            keep_newest=one.keep_newest,
        )
        for one in settings.warm
    )


def _templates(settings: Settings, upstream: UpstreamSettings) -> tuple[Template, ...]:
    candidates, name = settings.candidates, normalise_registry(upstream.name)
    checks = candidates.verify == "elf"
    # Docker owns its namespaces on Docker Hub; elsewhere in public, a stranger may.
    has_official = candidates.official and (name == DOCKER_HUB or not upstream.is_public)
    return (
        *(
            one.make_template(candidates.verify)
            for one in candidates.template
            if normalise_registry(one.registry) == name
        ),
        *(official_templates() if has_official else ()),
        *(proposal_templates(checks_binaries=checks) if asks_proposal(candidates, upstream) else ()),
    )

"""The cache folder opened by itself, without a server: what the cache commands work on.

A server may be running on the same folder meanwhile. SQLite takes several processes, blobs are files that never
change, and whoever changes what is there raises the catalog's revision, which the server looks at. A command that only
looks does not take the folder's lock either: a server can start beside it. But where the catalog was lost, whoever
comes first finds out what there is.
"""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.config.schema import Settings
from proxy.oci.errors import InvalidSetting
from proxy.oci.references import normalise_registry
from proxy.policies import cache_limits
from proxy.ports import BlobStore, Ledger
from proxy.server.fronts import pick_front
from proxy.server.middleware import ServerEvents
from proxy.service.exporting import Export, Exporting
from proxy.service.freshness import Freshness
from proxy.service.housekeeping import Housekeeper
from proxy.service.importing import Imported, Importing, ImportTools
from proxy.service.inspection import Inspection, ListedImage
from proxy.service.refetching import Refetching
from proxy.service.stock import HouseTools
from proxy.service.verification import Repair, Verification
from proxy.storage.catalog import SqliteCatalog
from proxy.storage.disk import DiskBlobStore
from proxy.storage.footprint import Footprint, is_cache, measure
from proxy.storage.layout_index import LayoutIndex
from proxy.wiring import CATALOG_FILE, SystemClock, begin_rebuilding, open_proxy

__all__ = ["Export", "Imported", "ListedImage", "OpenCache", "open_cache"]

THREADS = 2


@dataclass(frozen=True, slots=True)
class OpenCache:
    """A cache that is open, and what can be done with it."""

    folder: Path
    store: BlobStore
    ledger: Ledger
    inspection: Inspection
    verification: Verification
    exporting: Exporting
    importing: Importing
    housekeeper: Housekeeper

    def measure(self) -> Footprint:
        """Answer what the folder holds beside its blobs."""
        return measure(self.folder, CATALOG_FILE)


@asynccontextmanager
async def open_cache(
    settings: Settings,
    folder: Path,
    events: ServerEvents,
    *,
    changes: bool = False,
    creates: bool = False,
    repairs: bool = False,
) -> AsyncIterator[OpenCache]:
    """Open a cache folder; close it on leaving.

    Args:
        settings: What the server runs with.
        folder: The cache folder.
        events: Where happenings are told.
        changes: Whether content may come in or leave.
        creates: Whether the folder is made if it is not there.
        repairs: Whether upstream may be asked for what is damaged.

    Raises:
        InvalidSetting: There is no cache.
        Unavailable: The cache folder cannot be used.
    """
    if not creates and not is_cache(folder):
        raise InvalidSetting(f"there is no cache in {folder}: name the server's folder with --cache or --config")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(THREADS, "blob-writer"))
        scribe = stack.enter_context(ThreadPoolExecutor(1, "catalog-writer"))
        store = DiskBlobStore(folder, executor)
        stack.callback(store.close)
        is_owner = changes and store.prepare()
        catalog = stack.enter_context(SqliteCatalog(folder / CATALOG_FILE, scribe, events))
        if catalog.needs_rebuild and (is_owner or store.prepare()):  # else the server is at it
            await (await begin_rebuilding(settings, store, catalog, clock, events)).run()
        if changes:
            await stack.enter_async_context(LayoutIndex(folder, catalog, store, executor))
        repair = await _open_repair(settings, folder, events, stack) if repairs else None
        house = HouseTools(store, catalog, clock, events)
        yield _build(settings, folder, house, catalog, repair)


def _build(
    settings: Settings, folder: Path, house: HouseTools, catalog: SqliteCatalog, repair: Repair | None
) -> OpenCache:
    store, clock = house.store, house.clock
    inspection = Inspection(store, catalog, Freshness(tag_seconds=settings.cache.tag_ttl), clock)
    upstreams = {normalise_registry(upstream.name) for upstream in settings.upstreams}
    return OpenCache(
        folder=folder,
        store=store,
        ledger=catalog,
        inspection=inspection,
        verification=Verification(store, catalog, repair),
        exporting=Exporting(store, inspection),
        importing=Importing(ImportTools(store, catalog, catalog, clock, upstreams)),
        housekeeper=Housekeeper(house, cache_limits(settings, folder)),
    )


async def _open_repair(settings: Settings, folder: Path, events: ServerEvents, stack: AsyncExitStack) -> Repair:
    running = await stack.enter_async_context(open_proxy(settings, folder, events))
    return Refetching(lambda name: pick_front(running.fronts, name).puller)

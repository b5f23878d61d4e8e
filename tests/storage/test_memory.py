import pytest

from proxy.ports import BlobStore, Catalog
from proxy.storage.memory import MemoryBlobStore, MemoryCatalog
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.catalog import CatalogContract
from tests.contracts.ledger import Books, LedgerContract


class TestMemoryBlobStore(BlobStoreContract):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobStore()


class TestMemoryCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self) -> Catalog:
        return MemoryCatalog()


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def books(self) -> Books:
        return MemoryCatalog()

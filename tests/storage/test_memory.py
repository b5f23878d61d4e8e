import pytest

from proxy.ports import BlobStore, Catalog
from proxy.storage.memory import MemoryBlobStore, MemoryCatalog
from tests.contracts.blob_store import BlobStoreContract
from tests.contracts.catalog import CatalogContract


class TestMemoryBlobStore(BlobStoreContract):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobStore()


class TestMemoryCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self) -> Catalog:
        return MemoryCatalog()

"""Requests that nobody sent: for telling what one would be answered, by the same code that answers those that come."""

from dataclasses import dataclass, field

from multidict import CIMultiDict, MultiDictProxy
from yarl import URL


@dataclass(frozen=True, slots=True)
class ImaginedRequest:
    """A request, as far as it is read (`reading.Readable`)."""

    raw_path: str
    """Its target, with the query: `/v2/library/debian/manifests/jessie?ns=docker.io`."""
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    remote: str | None = None
    """The address that it comes from, if that is to count."""

    @property
    def rel_url(self) -> URL:
        """The target as a URL, built as aiohttp builds it."""
        path, _, query = self.raw_path.partition("#")[0].partition("?")
        return URL.build(path=path, query_string=query, encoded=True)

    @property
    def query(self) -> MultiDictProxy[str]:
        """The query's parameters."""
        return self.rel_url.query

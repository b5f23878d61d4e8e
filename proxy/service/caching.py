"""Whether the store keeps what comes in: told once when it stops to, and once when it does again."""

from proxy.ports import Events


class Caching:
    """Tells of a disk that is full or broken, once an episode: pulls go on without it, and there may be many."""

    def __init__(self, events: Events) -> None:
        """Take whom to tell."""
        self._events = events
        self._is_working = True

    def fails(self, reason: str) -> None:
        """Hear that something could not be kept."""
        if self._is_working:
            self._is_working = False
            self._events.warn("cache.unwritable", reason=reason, now="what is not cached is served without being kept")

    def works(self) -> None:
        """Hear that something was kept."""
        if not self._is_working:
            self._is_working = True
            self._events.note("cache.writable")

    def __repr__(self) -> str:
        return f"<Caching: {'works' if self._is_working else 'fails'}>"

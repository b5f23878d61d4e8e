"""The lab's stand-in for Docker Hub, and clients of it."""

from tests.lab.conftest import content, hub, hub_backend

__all__ = ["content", "hub", "hub_backend"]

from proxy.oci.digests import Digest
from proxy.service.room import EndlessRoom, Room
from tests.service.house import House


def rooms() -> list[Room]:
    return [EndlessRoom(), House().keeper()]


async def test_without_bounds_there_is_room_for_everything() -> None:
    for room in rooms():
        digest = Digest.of(b"")
        assert room.reserve(digest, None)
        assert room.reserve(digest, 2**50)
        await room.wait()
        room.release(digest, 2**50)

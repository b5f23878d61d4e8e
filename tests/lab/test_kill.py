"""The power goes, again and again, at any moment of a pull: nothing is lost that was committed, nothing wrong stays.

The suite kills 25 times. `POLYARCH_KILLS=200 pytest tests/lab/test_kill.py -s` kills 200 times, and says what it met.
"""

import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.lab.hub import HubStandIn
from tests.lab.killing import Moment, Pulling, Target, broken, publish_targets, stored
from tests.lab.programs import wait_until
from tests.lab.proxies import Proxy, StartProxy, as_docker_hub
from tests.lab.registry import DockerRegistry

# Taken out, for polyarch itself refuses to start with a variable that it does not know.
KILLS = int(os.environ.pop("POLYARCH_KILLS", "25"))

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120 + 10 * KILLS)]


@dataclass(slots=True)
class Life:
    """A proxy with one cache, killed as often as it takes until everything is in it."""

    proxy: Proxy
    hub: HubStandIn
    chance: random.Random
    committed: set[str] = field(default_factory=set)
    """What was seen in the cache just before one of the kills."""
    received: set[str] = field(default_factory=set)
    met: Counter[str] = field(default_factory=Counter)

    async def pull_and_kill(self, targets: Sequence[Target]) -> None:
        """Pull what is missing and some of what is not, kill the proxy meanwhile, and start it again."""
        missing = [target for target in targets if target.blob.digest not in self.received]
        known = [target for target in targets if target.blob.digest in self.received]
        pulling = Pulling(self.proxy, Moment.pick(self.chance, missing))
        await pulling.run(missing, self.chance.sample(known, min(5, len(known))), self.chance)
        assert pulling.wrong == []
        assert pulling.was_killed
        assert broken(self.proxy.cache) == []
        self.met.update({"kills": 1, "in a download": pulling.was_filling})
        self.received |= pulling.whole
        self.committed |= pulling.committed
        assert stored(self.proxy.cache) >= self.committed
        await self.proxy.start()
        assert stored(self.proxy.cache) >= self.committed

    async def pull_all(self, targets: Sequence[Target]) -> None:
        """Pull everything, undisturbed."""
        pulling = Pulling(self.proxy, Moment())
        await pulling.run(targets, (), self.chance)
        assert pulling.wrong == []
        assert pulling.whole == {target.blob.digest for target in targets}

    async def finish(self, targets: Sequence[Target]) -> None:
        """See that it is whole again: with upstream, without, and for what was there it was not asked again."""
        self.hub.reset()
        await self.pull_all(targets)
        asked = {record.reference for record in self.hub.requests("cdn")}
        assert asked & self.committed == set()
        await wait_until(self._is_quiet, seconds=10, purpose="the end of all downloads")
        assert broken(self.proxy.cache) == []
        assert stored(self.proxy.cache) >= {target.blob.digest for target in targets}
        await self.proxy.kill()
        await self.hub.go_offline()
        await self.proxy.start()
        await self.pull_all(targets)
        await self.proxy.stop()
        await self.hub.go_online()

    async def _is_quiet(self) -> bool:
        return not any((self.proxy.cache / "ingest").iterdir())


async def test_kill_9_at_any_moment(
    own_registry: DockerRegistry, writable_hub: HubStandIn, start_proxy: StartProxy
) -> None:
    """Every file is what its name says, what was committed stays, and every byte served was right."""
    targets = await publish_targets(own_registry)
    chance, met = random.Random(KILLS), Counter[str]()  # noqa: S311 - the same moments each time
    while met["kills"] < KILLS:
        proxy = await start_proxy(config=as_docker_hub(writable_hub.url))
        life = Life(proxy, writable_hub, chance)
        while met["kills"] + life.met["kills"] < KILLS and len(life.received) < len(targets):
            await life.pull_and_kill(targets)
        await life.finish(targets)
        met.update({**life.met, "caches": 1, "committed": len(life.committed)})
    print(f"\n{dict(met)}")
    assert met["in a download"] >= KILLS / 3

"""Clients that `polyarch resolve --as-client` stands in for: `CLIENT` or `CLIENT@MACHINE` (`client_kinds`)."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.arch.picking import Chooser, is_old, list_own_labels
from proxy.arch.user_agents import parse_user_agent
from proxy.cli.client_kinds import ALIASES, KINDS, MACHINES, Kind, Machine
from proxy.cli.tables import Side, render_table
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform


@dataclass(frozen=True, slots=True)
class Preset:
    """A client on a machine, if that is known."""

    kind: Kind
    machine: Machine | None

    @property
    def name(self) -> str:
        """As it is written: `docker-28@pi-zero`."""
        return f"{self.kind.name}@{self.machine.name}" if self.machine else self.kind.name

    @property
    def described(self) -> str:
        """In words."""
        return f"{self.kind.described}, on {self.machine.described}" if self.machine else self.kind.described

    @property
    def user_agent(self) -> str:
        """What it says of itself."""
        if self.machine is None:
            return self.kind.user_agent
        architecture = self.machine.platform.architecture
        return self.kind.user_agent.replace("{kernel}", self.machine.kernel).replace("{arch}", architecture)

    def list_headers(self) -> list[tuple[str, str]]:
        """Answer its header lines."""
        return [("User-Agent", self.user_agent), *(("Accept", line) for line in self.kind.accept)]

    def make_chooser(self, platform: Platform | None) -> Chooser:
        """Answer how it picks.

        Args:
            platform: What it is told by a `--platform` of its own, if anything.
        """
        machine = self.machine.platform if self.machine else None
        if platform is not None:
            return Chooser(self.kind.rule, platform, machine=platform)
        rule = self.kind.rule if self.kind.picks_unasked else None
        engine = parse_user_agent(self.user_agent)
        wanted = list_own_labels(engine)[0] if engine is not None and is_old(engine) else machine
        return Chooser(rule, self.kind.default or wanted, machine)


def parse_preset(text: str) -> Preset:
    """Read `CLIENT` or `CLIENT@MACHINE`.

    A client that shows its machine shows an amd64 one, unless another is named.

    Raises:
        InvalidSetting: There is no such client, or no such machine, with the nearest ones that there are.
    """
    name, at, where = text.strip().lower().partition("@")
    kinds, machines = {one.name: one for one in KINDS}, {one.name: one for one in MACHINES}
    kind = kinds.get(ALIASES.get(name, name))
    if kind is None:
        raise InvalidSetting(f"--as-client: unknown client {name[:80]!r}{_nearest(name, [*kinds, *ALIASES])}")
    if not at:
        return Preset(kind, MACHINES[0] if kind.shows_machine else None)
    if where not in machines:
        raise InvalidSetting(f"--as-client: unknown machine {where[:80]!r}{_nearest(where, list(machines))}")
    return Preset(kind, machines[where])


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name[:80], known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else "; --as-client list shows them all"


def render_presets() -> str:
    """Write all clients and machines for people."""
    shows = {True: "its machine", False: "nothing of it"}
    clients = render_table(
        [("CLIENT", Side.LEFT), ("IS", Side.LEFT), ("SHOWS", Side.LEFT), ("KNOWN FROM", Side.LEFT)],
        [(one.name, one.described, shows[one.shows_machine], one.source) for one in KINDS],
    )
    machines = render_table(
        [("MACHINE", Side.LEFT), ("IS", Side.LEFT), ("PLATFORM", Side.LEFT), ("KERNEL", Side.LEFT)],
        [(one.name, one.described, str(one.platform.explicit()), one.kernel) for one in MACHINES],
    )
    return f"{clients}\n\n{machines}\n\nWrite CLIENT or CLIENT@MACHINE, for example docker-28@pi-zero."

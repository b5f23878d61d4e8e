"""The Hub stand-in: Docker Hub's behaviour, as clients and proxies meet it, in front of a real `docker-registry`.

- `stand_in`: `HubStandIn`, the thing to use: two listeners (registry and CDN), the journal, the faults.
- `asked`, `journal`: what a request is for, and what was asked so far.
- `auth`, `tokens`, `api`, `cdn`: how Docker Hub answers.
- `answers`: an answer before it is sent, and the sending of it. `faults`: what can be made to go wrong.
- `backend`: the `docker-registry` behind it.
"""

from tests.lab.hub.behaviour import HUB, OWN, Behaviour
from tests.lab.hub.journal import Record
from tests.lab.hub.stand_in import HubStandIn

__all__ = ["HUB", "OWN", "Behaviour", "HubStandIn", "Record"]

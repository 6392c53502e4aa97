"""
The folder of a node agent, in the journal home: `.agents-<user id>/<key>/`.

    lock         held with flock(2) while the agent lives: one agent for each folder
    agent.json   who it is: id, protocol, release, process, fingerprint of its credentials
    pulse        24 bytes: a number that changes as long as the agent works, and its id
    wake         a datagram socket: a message tells it to look now; the path of a journal, to take it
    agent.log    what it wrote to stderr

The key names machine, container and network, since an agent in another container has other hosts behind the same names
and sees other processes. An agent that a person started serves all of them; its key is `shared`.
"""

from __future__ import annotations

import json
import mmap
import os
from hashlib import blake2b

from gateway.client.journal.folder import AGENTS, JournalLock, is_held, make_private
from gateway.client.process.owner import this_machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PROTOCOL = 1  # of grants, cursors and this folder; an agent of another one is left alone
SHARED = "shared"
LOG, STATE, PULSE, WAKE = "agent.log", "agent.json", "pulse", "wake"
NETWORK_SPACE = "/proc/self/ns/net"
PULSE_BYTES = 24
LOG_BYTES = 262_144  # a log that is larger is emptied when an agent starts


class AgentPlace:
    """The folder of an agent below a journal home."""

    def __init__(self, home: str, key: str = "") -> None:
        self.home = home
        self.folder = os.path.join(home, f"{AGENTS}{os.getuid()}", key or machine_key())

    def path(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return os.path.join(self.folder, name)

    def create(self) -> None:
        """Create the folder, for this user only. Raises OSError."""
        if not os.path.isdir(self.folder):
            make_private(self.folder)

    def lock(self) -> JournalLock | None:
        """Return the lock of the agent; None when one lives. Raises OSError."""
        return JournalLock.try_acquire(self.folder)

    @property
    def is_taken(self) -> bool:
        """Whether an agent lives."""
        return is_held(self.folder)

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write who the agent is. Raises OSError."""
        made = self.path(f"{STATE}.new")
        with open(made, "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.rename(made, self.path(STATE))

    def read_state(self) -> dict[str, Any]:
        """Return who the agent is, or was; {} when that is not known."""
        try:
            with open(self.path(STATE), encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def map_pulse(self, *, writes: bool = False) -> mmap.mmap:
        """Return the memory of the pulse. Raises OSError."""
        handle = os.open(self.path(PULSE), os.O_RDWR | os.O_CREAT if writes else os.O_RDONLY, 0o600)
        try:
            if writes:
                os.ftruncate(handle, PULSE_BYTES)
            return mmap.mmap(handle, PULSE_BYTES, access=mmap.ACCESS_WRITE if writes else mmap.ACCESS_READ)
        except ValueError as error:  # it is empty: the agent is starting
            raise OSError(str(error)) from error
        finally:
            os.close(handle)


def living_agents(home: str) -> list[dict[str, Any]]:
    """Return the states of this user's agents in a journal home, those of other containers included."""
    above = os.path.dirname(AgentPlace(home, SHARED).folder)
    try:
        keys = sorted(os.listdir(above))
    except OSError:
        return []
    places = [place for place in (AgentPlace(home, key) for key in keys) if place.is_taken]
    return [state for state in (place.read_state() for place in places) if state]


def pulse_of(agent: str, beat: int) -> bytes:
    """Return the pulse of an agent, given by its id."""
    return (beat % 2**64).to_bytes(8, "little") + bytes.fromhex(agent.replace("-", ""))


def is_pulse_of(pulse: bytes, agent: str) -> bool:
    """Return whether a pulse is that of this agent."""
    return pulse[8:].hex() == agent.replace("-", "")


def machine_key() -> str:
    """Return what tells this machine, container and network from others."""
    try:
        network = os.readlink(NETWORK_SPACE)
    except OSError:
        network = ""
    facts = json.dumps([*this_machine().values(), network])
    return blake2b(facts.encode(), digest_size=8).hexdigest()


def fingerprint(options: Mapping[str, str], salt: str, url: str = "") -> str:
    """Return what tells whether two processes have the same credentials for the same URL, and not which they are."""
    content = json.dumps([url if options else "", sorted(options.items())])
    return blake2b(content.encode(), key=salt.encode()[:64], digest_size=16).hexdigest()

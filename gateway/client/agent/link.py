"""
The agent as a training process sees it: found, started, checked by version and credentials, and watched.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from gateway.client.agent.mode import idle_seconds
from gateway.client.agent.place import PROTOCOL, SHARED, WAKE, AgentPlace, fingerprint, is_pulse_of
from gateway.client.agent.starting import exit_code, start
from gateway.client.journal.folder import journal_home
from gateway.client.journal.hosts import LOCAL, file_system
from gateway.client.process.forks import importing
from gateway.client.process.owner import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

    from gateway.client.address import Address
    from gateway.client.agent.wakeups import WakeupSender

CHECK_S = 0.3
HUNG_CHECKS = 10  # without a pulse
START_S = 10.0  # the longest that starting one may take
RETRY_S = 5.0  # between two looks for an agent that cannot be used
RESTART_S = 30.0  # between two attempts to start one


class AgentLink:
    """The agent for one address, once `id` is not empty; else `reason` says why there is none."""

    def __init__(self) -> None:
        self.id = ""  # "" also while it hangs
        self.reason = ""
        self._place: AgentPlace | None = None
        self._messages: WakeupSender | None = None
        self._pulse: mmap | None = None
        self._beat = (b"", 0)  # the pulse, and for how many checks it was that
        self._joined: tuple[str, object] = ("", None)  # id, and the credentials that fit
        self._starter = 0
        self._is_coming, self._comes_until = False, 0.0  # there is one that has not written who it is
        self._check_at = self._look_at = self._start_at = self._give_up_at = 0.0

    @property
    def is_starting(self) -> bool:
        """Whether an agent is being started, by this process or another."""
        return self._starter > 0 or self._is_coming

    def send(self, message: str = "") -> bool:
        """Tell the agent to look now, or to take the journal in this folder; False when it has no such message."""
        sender = self._messages
        return sender is not None and sender.send(message)

    def check(self, address: Address, now: float) -> None:
        """Look for the agent, start it, or look whether it still works. Does not raise; takes microseconds mostly."""
        if self._starter:
            self._watch_start(now)
        if not self._starter and now >= self._check_at:
            self._check_at = now + CHECK_S
            try:
                self._check(address, now)
            except OSError as error:
                self._leave(f"its folder cannot be used ({error})")
                self._look_at = now + RESTART_S

    def _check(self, address: Address, now: float) -> None:
        place, (_, options) = self._place, self._joined
        if place is not None and options != address.options:
            self._leave("the credentials have changed")
        elif place is not None:
            self._watch(place)
        if self._place is None and now >= self._look_at:
            self._look(address, now)

    def _watch(self, place: AgentPlace) -> None:
        """Look whether the agent lives and works. As long as its pulse moves, that costs nothing."""
        assert self._pulse is not None
        (beat, same), id_, found = self._beat, self._joined[0], self._pulse[:]
        self._beat = (found, same + 1 if found == beat else 0)
        if not is_pulse_of(found, id_) or (found == beat and not place.is_taken):
            self._leave("it has ended")
        elif self._beat[1] >= HUNG_CHECKS:
            self.id, self.reason = "", "it does not answer"
        else:
            self.id, self.reason = id_, ""

    def _look(self, address: Address, now: float) -> None:
        self._look_at = now + RETRY_S
        home = journal_home()
        if sys.platform != "linux" or file_system(_existing(home)) not in LOCAL:
            self._leave("the journal is on a file system that several hosts may share, or one that is not known")
            self._look_at = float("inf")
            return
        for place in (AgentPlace(home, SHARED), AgentPlace(home)):
            if os.path.isdir(place.folder) and place.is_taken:
                self._join(place, address, now)
                return
        self._is_coming, self._comes_until = False, 0.0
        if now >= self._start_at:
            self._start_at, self._give_up_at = now + RESTART_S, now + START_S
            self.reason = "it is starting"
            self._starter = start(home, address, idle_seconds())

    def _join(self, place: AgentPlace, address: Address, now: float) -> None:
        try:
            state, pulse = place.read_state(), place.map_pulse()
        except OSError:
            self._wait_for(now)
            return
        is_shared, id_ = bool(state.get("shared")), str(state.get("id", ""))
        if not is_pulse_of(pulse[:], id_) or not (is_shared or is_alive(state)):
            self._wait_for(now)
        elif state.get("protocol") != PROTOCOL:
            self.reason = f"release {state.get('release')!s:.40} of it works in another way"
        elif (address.options or not is_shared) and state.get("fingerprint") != fingerprint(
            address.options, str(state.get("salt", "")), address.url
        ):
            self.reason = "it has other credentials"
        else:
            self._pulse, self._beat = pulse, (b"", 0)
            with importing():
                from gateway.client.agent.wakeups import WakeupSender
            with suppress(OSError):  # without messages it looks every few seconds
                self._messages = WakeupSender(place.path(WAKE))
            self._place, self._joined = place, (id_, dict(address.options))
            self.id, self.reason = id_, ""
            self._is_coming, self._comes_until = False, 0.0

    def _wait_for(self, now: float) -> None:
        """Look again soon: the agent has its lock, and has not written who it is."""
        self._comes_until = self._comes_until or now + START_S
        self._is_coming, self.reason = now < self._comes_until, "it does not say who it is"
        self._look_at = self._check_at = 0.0

    def close(self) -> None:
        """Close the socket of the messages."""
        sender, self._messages = self._messages, None
        if sender is not None:
            sender.close()

    def _leave(self, reason: str) -> None:
        self.close()
        self._place, self._pulse, self.id, self.reason = None, None, "", reason
        self._look_at = 0.0

    def _watch_start(self, now: float) -> None:
        code = exit_code(self._starter)
        if code is None and now < self._give_up_at:
            return
        self._starter, self._check_at = 0, 0.0
        if code == 0:
            self._look_at, self._start_at = 0.0, now + RETRY_S
        else:
            self.reason, self._look_at = "it cannot be started", now + RETRY_S


def _existing(folder: str) -> str:
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder

"""
What can go wrong between training code and the log.

    ClientError       start_run() was asked for something that cannot be; the message says the next step
    Unsent            a transport could not get records acknowledged; the shipper sends them again
    +- InDoubt        ... and nobody knows whether the log has them; only where nothing sends them again

`emit` and everything else that runs inside a training loop raises neither: it counts, and says so once.
"""

from __future__ import annotations

START = "start it with `gateway up`, or correct GATEWAY_URL"


class ClientError(Exception):
    """A run cannot start as asked; the message names the thing and the next step."""


class Unsent(Exception):
    """
    Records were not acknowledged; sending the same records again is safe and needed.

    `what` the other end does, in words that follow its name; `step` is what a person should do, "" when `why` says it.
    `took_nothing`: it said that it has none of them; without that it may have some.
    """

    def __init__(
        self, why: str, *, what: str = "cannot be reached", step: str | None = None, took_nothing: bool = False
    ) -> None:
        super().__init__(f"{why}: {step}" if step else why)
        self.why = why
        self.what = what
        self.step = START if step is None else step
        self.took_nothing = took_nothing


class InDoubt(Unsent):
    """Records were sent and not acknowledged: the log may have them or not."""

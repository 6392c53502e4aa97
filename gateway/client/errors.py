"""
What can go wrong between training code and the log.

    ClientError       what training code asked for cannot be done; the message states the next step: an argument of
    |                 start_run() that cannot be used, a barrier without an API
    +- ApiUnavailable the query API does not answer (query.py)
    +- ApiRefused     the query API refuses the request (query.py)
    Unsent            a transport did not get records acknowledged; the shipper sends them again
    +- InDoubt        ... and the log may or may not have them; only where nothing sends them again

`emit` and everything else that runs inside a training loop raises none of them: it counts the loss and reports it once.
"""

from __future__ import annotations

START = "start it with `gateway up`, or correct GATEWAY_URL"


class ClientError(Exception):
    """What was asked for cannot be done; the message names the argument or setting and the next step."""


class Unsent(Exception):
    """
    Records were not acknowledged; sending the same records again is safe and required.

    `what` is a phrase that follows the name of the other end in a message ("cannot be reached"). `step` tells a person
    what to do next; it is "" if `why` already says so. `took_nothing` is True if the other end reported that it has
    none of the records; otherwise it may have some.
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
    """Records were sent but not acknowledged: the log may or may not have them."""

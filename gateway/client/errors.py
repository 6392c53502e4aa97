"""
What can go wrong between training code and the log.

    ClientError       what training code asked for cannot be done; the message states the next step: an argument of
    |                 start_run() that cannot be used, a barrier without an API
    +- ApiUnavailable the query API does not answer (query.py)
    +- ApiRefused     the query API refuses the request (query.py)
    +- RegistryError  a request about an experiment or a model was not done
       +- AlreadyExists   its name or id is taken, perhaps by a deleted one
       +- NotFound        there is no such experiment, model, version or alias
       +- IsDeleted       the experiment is deleted, and has to be restored first
       +- NotDeleted      the experiment that should be restored is not deleted
       +- Undecided       there is no answer in time; repeating the request with its `request_id` is safe
    Unsent            a transport did not get records acknowledged; the shipper sends them again
    +- InDoubt        ... and the log may or may not have them; only where nothing sends them again

`emit` and everything else that runs inside a training loop raises none of them: it counts the loss and reports it once.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

START = "start it with `gateway up`, or correct GATEWAY_URL"


class ClientError(Exception):
    """What was asked for cannot be done; the message names the argument or setting and the next step."""


class RegistryError(ClientError):
    """
    A request about an experiment, a model, a view or a rule was not done.

    `result` is what it met, such as the id and the name of the experiment that has the name.
    """

    def __init__(self, text: str, *, decision: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.result: dict[str, Any] = dict(decision["result"]) if decision else {}


class AlreadyExists(RegistryError):
    """The name or the id of an experiment or a model is taken."""


class NotFound(RegistryError):
    """There is no such experiment, model, version or alias."""


class IsDeleted(RegistryError):
    """The experiment is deleted; it can be restored."""


class NotDeleted(RegistryError):
    """The experiment that should be restored is not deleted."""


class HasChanged(RegistryError):
    """A view or a rule has a newer version than the one that the change is based on; `result` has its number."""


class Undecided(RegistryError):
    """There is no answer in time. The same call with this `request_id` is the same request, and is decided once."""

    def __init__(self, text: str, *, request_id: str) -> None:
        super().__init__(text)
        self.request_id = request_id


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

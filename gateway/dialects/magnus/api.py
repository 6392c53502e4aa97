"""
The functions that a task calls: `track_this`, `get_run_id`, `get_experiment_tracker_context`, parameters.

They act on the current run of the gateway. Without one, they join or start the run that MAGNUS_RUN_ID names, with
MAGNUS_RUN_TAG as its experiment; without that, a run of the process, as `gateway.emit` does. None of them raises into
training, except `get_parameter` and `get_run_log`, which have nothing to return then.
"""

from __future__ import annotations

import json
import os
from contextlib import nullcontext

from gateway.client.address import NOWHERE
from gateway.client.encoding.typed import typed
from gateway.client.encoding.values import clean, text_of
from gateway.client.errors import ClientError
from gateway.client.guards import never_raises
from gateway.client.notices import warn_once
from gateway.client.process.inheritance import RUN_ID
from gateway.client.run import current, registry, steps
from gateway.dialects.magnus.settings import has_suffixes, place
from gateway.dialects.magnus.variables import PREFIX, read_variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from gateway.client.run.run import Run

MAGNUS_RUN_ID, MAGNUS_RUN_TAG = "MAGNUS_RUN_ID", "MAGNUS_RUN_TAG"
PARAMETER = "MAGNUS_PRM_"

is_read_by_magnus = False  # True where magnus itself reads the variables: see tracker.py


def track_this(step: int = 0, **kwargs: Any) -> None:
    """
    Track values in the current step of the run: `track_this(answer=42, step=0)` (seeds 001 and 002).

    A pydantic model becomes an object with its aliases, inside dicts and lists too. A key that was tracked at step 0
    only shows as its value in the run log, any other as an object by step. Numbers are points of a chart, too. Never
    raises: what cannot be kept is counted as dropped and reported once.
    """
    run = _find_run()
    suffixes = has_suffixes()
    for key, value in kwargs.items():
        name, number = place(key, 0 if step is None else step, suffixes=suffixes)
        run.emit(name, value, number)


def get_experiment_tracker_context() -> AbstractContextManager[Run]:
    """
    Return the context of the experiment tracker: a null context (seed 001), whose value is the current run.

    Trackers get everything from the log, so no client of one is open in training.
    """
    return nullcontext(_find_run())


def get_run_id() -> str:
    """Return the id of the run; Magnus has it in MAGNUS_RUN_ID as well."""
    return _find_run().id


def get_tag() -> str:
    """Return the tag that Magnus gave the run, which names its experiment; "" without one."""
    return os.environ.get(MAGNUS_RUN_TAG, "")


def get_run_log() -> dict[str, Any]:
    """
    Return the run log of the current run as the API has it, with everything that this process has recorded.

    Raises ClientError: the API cannot be reached, or does not know the run in time.
    """
    from gateway import query

    return dict(query.get_run_log(_find_run()))


@never_raises("set_parameter")
def set_parameter(**kwargs: Any) -> None:
    """Set parameters of the run, for `get_parameter` here and in the processes that this one starts."""
    for key, value in kwargs.items():
        os.environ[PARAMETER + key] = json.dumps(value, default=_plain)
    _find_run().log_params(kwargs)


def get_parameter(key: str | None = None, cast_as: Any = None) -> Any:
    """
    Return a parameter by its key, or all of them; `cast_as` is the class to make of it, for example a pydantic model.

    Raises KeyError for a parameter that was not set, and what `cast_as` raises.
    """
    found = {name[len(PARAMETER) :]: _read(text) for name, text in os.environ.items() if name.startswith(PARAMETER)}
    if key is None:
        return found if cast_as is None else cast_as(**found)
    if key not in found:
        raise KeyError(f"parameter {key!r} is not set: call set_parameter({key}=...) first")
    value = found[key]
    if cast_as is None:
        return value
    return cast_as(**value) if isinstance(value, dict) and cast_as is not dict else cast_as(value)


def _find_run() -> Run:
    """Return the current run; join or start the one that Magnus names in the environment."""
    run = current.current_run()
    if run is not None or not (run_id := os.environ.get(MAGNUS_RUN_ID)):
        return run or current.find_or_start()
    os.environ.setdefault(RUN_ID, clean(run_id))
    with registry.implicit_lock:
        run = current.current_run()
        tag = os.environ.get(MAGNUS_RUN_TAG, "")
        try:
            return run or current.start_run(tag=tag)
        except ClientError as error:
            warn_once("address", f"{error}; until then events are kept in the journal")
            return current.start_run(tag=tag, url=NOWHERE)


@never_raises("MAGNUS_TRACK_")
def _track_variables(run: Run) -> None:
    """Track what the variables say, in the step that ends, and remove them, as Magnus does."""
    if is_read_by_magnus or run.is_finished:
        return
    suffixes = has_suffixes()
    for _, key, step, value in read_variables(os.environ):
        name, number = place(key, step, suffixes=suffixes)
        run.emit(name, value, number)
    for variable in [name for name in os.environ if name.startswith(PREFIX)]:
        os.environ.pop(variable, None)


steps.before_end.append(_track_variables)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain(value: object) -> object:
    kept = typed(value)
    return kept["value"] if kept["type"] == "json" else text_of(value)

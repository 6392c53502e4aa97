"""
Send rows to a W&B server through its SDK, and make sure that nothing continues to run on its own.

A session is one `wandb.init` to `finish`, and lives for one delivery. An open session would send rows once a second at
best (wandb-core 0.31 accepts whole seconds only), send the config five seconds later, and keep retrying alone for a
week if the server is away. `finish` sends everything at once. It takes 0.1 s, so a thousand live runs leave nothing
open.

wandb-core is set to die with the thread that starts it (PR_SET_PDEATHSIG). That thread is one of ours that never ends,
so wandb-core lives as long as the process, and a SIGKILL of the process leaves no wandb-core behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import wandb

from consumers.trackers.wandb.definitions import WandbDefinition
from consumers.trackers.wandb.live.backend import RunPath
from schemas.errors import TrackerRefused, TrackerUnavailable, TrackingError

INIT_TIMEOUT_S = 10  # the SDK's own is 90
FINISH_TIMEOUT_S = 20  # the SDK has no limit of its own
RETRIES = 3  # of one request; the SDK's own are 10,085
RETRY_WAIT_S = (0.2, 1.0)
REQUEST_TIMEOUT_S = 20
MAX_SESSIONS = 200  # of one wandb-core
TEARDOWN_S = 3.0  # before it is killed
END_WAIT_S = 60.0  # for other runs' sessions, before wandb-core is started again
_SERVICE = "WANDB_SERVICE"
# Variables of a run, and of its wandb-core, that the environment has if this process was started inside one.
_OF_ANOTHER_RUN = (
    _SERVICE, "WANDB_JOB_TYPE", "WANDB_NAME", "WANDB_NOTES", "WANDB_RESUME", "WANDB_RUN_GROUP", "WANDB_RUN_ID",
    "WANDB_SWEEP_ID", "WANDB_TAGS",
)  # fmt: skip


class Account(NamedTuple):
    """The server and key that runs are written with; no text shows the key."""

    url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Account({self.url!r}, ***)"


class DisplayFields(NamedTuple):
    """What W&B shows at the top of a run."""

    name: str
    group: str
    notes: str
    tags: Sequence[str]


class SessionRefused(Exception):
    """The SDK could not open a run; the text is the server's."""


class Session:
    """One opened run; the server expects row `next_row` next."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self.next_row: int = run.starting_step

    def log(self, number: int, cells: Mapping[str, Any]) -> None:
        """Add a row with its number."""
        self._run.log(dict(cells), step=number, commit=True)

    def update_summary(self, facts: Mapping[str, Any]) -> None:
        """Set fields of the run's summary, in addition to the last values."""
        self._run.summary.update(dict(facts))


class WandbSdk:
    """The SDK of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._folder = ""
        self._creating = threading.Lock()

    def close(self) -> None:
        """Remove the folder with the SDK's own log."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = ""

    @contextmanager
    def session(
        self,
        path: RunPath,
        display: DisplayFields,
        config: Mapping[str, Any],
        exit_code: int | None = None,
        definitions: Sequence[WandbDefinition] = (),
    ) -> Iterator[Session]:
        """
        Open a new or existing run. At the end of the block everything is at the server, or given up.

        Without an exit code the run continues. Raises SessionRefused, TrackerRefused for values that the SDK does not
        accept, TrackerUnavailable if wandb-core is gone.
        """
        with _core.used(path.name), _translated(path.name):
            run = self._open(path, display, config, is_end=exit_code is not None)
            try:
                run.define_metric("gw/step")
                run.define_metric("*", step_metric="gw/step", step_sync=True)
                for one in definitions:  # with step_sync, W&B would add values of the x axis to rows without one
                    run.define_metric(
                        one.name, step_metric=one.x or "gw/step", step_sync=not one.x, hidden=one.hidden or None,
                        summary=None if one.has_summary else "none",
                    )  # fmt: skip
                yield Session(run)
            finally:
                run.finish(exit_code=exit_code or 0)
                shutil.rmtree(run.settings.sync_dir, ignore_errors=True)

    def _open(self, path: RunPath, display: DisplayFields, config: Mapping[str, Any], *, is_end: bool) -> Any:
        try:
            return wandb.init(
                entity=path.entity or None, project=path.project, id=path.name, resume="allow", reinit="create_new",
                name=display.name, group=display.group or None, notes=display.notes or None,
                tags=list(display.tags) or None, config=dict(config), settings=self._settings(is_end),
            )  # fmt: skip
        except (wandb.errors.Error, TimeoutError) as error:
            _core.mark_stuck(path.name)
            raise SessionRefused(" ".join(str(error).split())[:400]) from error

    def _settings(self, is_end: bool) -> wandb.Settings:
        least, most = RETRY_WAIT_S
        return wandb.Settings(
            base_url=self._account.url, api_key=self._account.api_key, mode="online", root_dir=self._make_folder(),
            silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
            disable_job_creation=True, x_disable_meta=True, x_disable_stats=True, x_disable_viewer=True,
            x_disable_machine_info=True, x_save_requirements=False, x_skip_transaction_log=True, symlink=False,
            ignore_globs=("*",),
            init_timeout=INIT_TIMEOUT_S, finish_timeout=FINISH_TIMEOUT_S, x_file_stream_transmit_interval=1,
            x_update_finish_state=is_end, x_file_stream_retry_max=RETRIES, x_graphql_retry_max=RETRIES,
            x_file_stream_retry_wait_min_seconds=least, x_file_stream_retry_wait_max_seconds=most,
            x_graphql_retry_wait_min_seconds=least, x_graphql_retry_wait_max_seconds=most,
            x_file_stream_timeout_seconds=REQUEST_TIMEOUT_S, x_graphql_timeout_seconds=REQUEST_TIMEOUT_S,
        )  # fmt: skip

    def _make_folder(self) -> str:
        with self._creating:
            if not self._folder:
                self._folder = tempfile.mkdtemp(prefix="gateway-wandb-live-")
            return self._folder


class _Core:
    """
    wandb-core: one process for all trackers of this process, started when first used.

    It is restarted if it is gone, and if it holds the id of a run that could not be opened: the SDK has no other way to
    release the id. A restart waits for the sessions of other runs to end. It is also restarted after some hundred
    sessions, as soon as none is open: each leaves two connections, and 80 kB, for a minute and a half.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._users = self._sessions = 0
        self._is_running = self._is_gone = self._is_ending = False
        self._stuck: set[str] = set()

    @contextmanager
    def used(self, name: str) -> Iterator[None]:
        """Keep it running during a session. Raises TrackerUnavailable if it does not start."""
        with self._turn:
            self._turn.wait_for(lambda: not self._is_ending, timeout=END_WAIT_S)
            if self._is_gone or name in self._stuck:
                self._wait_for_users()
                self._end()
            elif self._sessions >= (MAX_SESSIONS if not self._users else 4 * MAX_SESSIONS) and self._wait_for_users():
                self._end()
            if not self._is_running:
                self._start()
            self._users, self._sessions = self._users + 1, self._sessions + 1
        try:
            yield
        finally:
            with self._turn:
                self._users -= 1
                self._turn.notify_all()

    def mark_stuck(self, name: str) -> None:
        """Record that it holds the id of a run that is not open."""
        with self._turn:
            self._stuck.add(name)

    def mark_gone(self) -> None:
        """Record that it does not answer."""
        with self._turn:
            self._is_gone = True

    def _wait_for_users(self) -> bool:
        self._is_ending = True
        ended = self._turn.wait_for(lambda: self._users == 0, timeout=END_WAIT_S)
        self._is_ending = False
        self._turn.notify_all()
        return ended

    def _end(self) -> None:
        if self._is_running:
            process = wandb.setup().ensure_service()._proc._process
            killer = threading.Timer(TEARDOWN_S, process.kill)  # no session is open: it has nothing to send
            killer.start()
            with contextlib.suppress(Exception, SystemExit):  # errors about a process that is gone are expected
                wandb.teardown()
            killer.cancel()
            process.kill()
            process.wait()
        self._is_running = self._is_gone = False
        self._sessions = 0
        self._stuck.clear()

    def _start(self) -> None:
        raised: list[BaseException] = []
        started = threading.Event()
        threading.Thread(target=self._hold, args=(started, raised), name="wandb-core", daemon=True).start()
        started.wait()
        if raised:
            text = f"W&B's own process does not start ({raised[0]}): install tracking-gateway[wandb] again"
            raise TrackerUnavailable(text) from raised[0]
        self._is_running = True

    def _hold(self, started: threading.Event, raised: list[BaseException]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # no reports to servers other than the configured one
        logging.getLogger("wandb").propagate = False  # some 20 lines for each session, with the whole config
        for name in _OF_ANOTHER_RUN:
            os.environ.pop(name, None)
        try:
            wandb.setup(wandb.Settings(silent=True, x_disable_viewer=True))
            os.environ.pop(_SERVICE, None)  # our own children must not use our wandb-core
        except Exception as error:  # noqa: BLE001  # raised again by the thread that waits
            raised.append(error)
            started.set()
            return
        started.set()
        threading.Event().wait()  # wandb-core dies with this thread


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except (TrackingError, SessionRefused):
        raise
    except (ValueError, TypeError) as error:  # values that W&B does not accept; its process has not received them
        raise TrackerRefused(f"W&B's SDK refuses run {name!r} ({' '.join(str(error).split())[:400]})") from error
    except (
        Exception
    ) as error:  # the SDK's socket to wandb-core raises errors of any type; the events are delivered again
        _core.mark_gone()
        text = f"W&B's own process did not take run {name!r} ({type(error).__name__} {error}): it is started again"
        raise TrackerUnavailable(text) from error


_core = _Core()

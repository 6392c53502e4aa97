"""
Calls from signal handlers and destructors in the middle of every other call.

CPython runs signal handlers at the beginning of a function and after a call. A profile function does the same with
`interrupt`, at one of these moments in the client's code: in the same thread, which continues only afterwards. Each
moment has its turn in a forked process of its own. A process that waits for itself is killed by its alarm.
"""

from __future__ import annotations

import pytest

from tests.support.client_harness import train

EVERY_MOMENT = """
import os, signal, sys, traceback
import gateway
from gateway.client.run import artifacts, current, registry
from gateway.client.encoding import columns
from gateway.client.shipping import recovery, shipper
from gateway.client.transports import http_transport  # whatever a fork would import again
__import__("mimetypes").init()
sys.setswitchinterval(0.0005)
FIRST = 6  # before that, the call has not begun to start a run
CLIENT = os.path.dirname(gateway.__file__) + "/client/"

def interrupted_at(moment, call, interrupt):
    '''Make a call, and another one at a moment within it. Return whether the call has so many moments.'''
    seen = 0
    def profile(frame, event, argument):
        nonlocal seen
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(CLIENT):
            seen += 1
            if seen == moment:
                sys.setprofile(None)
                interrupt()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return seen >= moment

def every_moment(call, interrupt, check, stride):
    moment = FIRST
    while True:
        child = os.fork()
        if not child:
            signal.alarm(20)
            status = 1
            try:
                status = 0 if interrupted_at(moment, call, interrupt) else 77
                check(status == 0)
            except BaseException:  # of any type: this is a forked child, which must not return into pytest
                traceback.print_exc()
                print("moment", moment, flush=True)
                status = 1
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 77:
            print("moments", moment)
            return
        assert status == 0, (moment, status)
        moment += stride

def emitted():
    '''Return what each open run of this process holds: its number of points and values, and of producers.'''
    runs = {*registry.open_runs(), *registry._late}
    producers = [one for found in registry._shippers.values() for one in found._producers]
    assert len({id(one.journal) for one in producers}) == len(producers), "a journal has two producers"
    return [sum(one.points + one.values for one, _ in run.recorder.journals()) for run in runs]

def interrupt():
    gateway.emit("handler", 1.0)
    with gateway.step("in a handler"):
        gateway.emit({"text": "x"})
    gateway.log_params(a=1)
    gateway.log_artifact(__file__ if "__file__" in globals() else "/etc/hostname")
"""

CALLS = {
    "emit without a run": (
        """
def call():
    gateway.emit("loss", 1.0)
"""
    ),
    "start_run": (
        """
def call():
    gateway.start_run(run_id="r", params={"lr": 0.1})
    gateway.emit("loss", 1.0)
"""
    ),
    "first emit of a forked child": (
        """
gateway.start_run(run_id="r")
def call():
    gateway.emit("loss", 1.0)
"""
    ),
    "step and artifact": (
        """
gateway.start_run(run_id="r")
def call():
    with gateway.step("s"):
        gateway.log_artifact("/etc/hostname")
    gateway.emit("loss", 1.0)
"""
    ),
}
CHECK = """
def check(was_interrupted):
    assert emitted() == [3 if was_interrupted else 1], emitted()
every_moment(call, interrupt, check, STRIDE)
"""
LATE = """
run = gateway.start_run(run_id="r")
run.finish(timeout_s=0)
def call():
    run.emit("loss", 1.0)
def interrupt():
    run.emit("handler", 1.0)
def check(was_interrupted):
    assert emitted() == [2 if was_interrupted else 1], emitted()
every_moment(call, interrupt, check, STRIDE)
"""
SETTINGS = {"GATEWAY_URL": "http://127.0.0.1:9", "GATEWAY_CAPTURE": "none", "GATEWAY_FINISH_TIMEOUT_S": "0"}


@pytest.mark.parametrize("name", CALLS)
def test_a_signal_handler_may_record_at_any_moment_of(name: str) -> None:
    done = train(EVERY_MOMENT + CALLS[name] + CHECK.replace("STRIDE", "9"), SETTINGS)

    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3_000:]


def test_a_signal_handler_may_record_at_any_moment_of_a_late_emit() -> None:
    done = train(EVERY_MOMENT + LATE.replace("STRIDE", "4"), SETTINGS)

    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3_000:]

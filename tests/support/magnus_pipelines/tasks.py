"""Tasks of pipelines for magnus 0.5.1, as a user writes them: nothing here knows the gateway."""

import multiprocessing
import os
import signal

from magnus import get_experiment_tracker_context, get_run_id, track_this
from pydantic import BaseModel, Field


class Eggs(BaseModel):
    ham: str = Field(alias="Ham")


class Answer(BaseModel):
    answer: int = 42


def emit_metrics() -> None:
    track_this(spam="hello", eggs=Eggs(Ham="world"), answer=42.0, is_it_true=False)


def emit_steps() -> Answer:
    for step in range(3):
        track_this(step=step, loss=1.0 / (step + 1), spam=f"hey{step}")
    track_this(answer=42, nothing=None, some=[1, "two"])
    return Answer()


def say_hello() -> None:
    track_this(spam="hello", rows=3)


def say_hey() -> None:
    track_this(spam="hey", rows=4)


def hard_cases() -> None:
    track_this(step=1, acc=0.5)  # a key that has no value at step 0
    track_this(Loss=1.0)
    track_this(loss=2.0)  # the same key in lower case
    track_this(loss_STEP_size=3)
    track_this(step=2, twice=1.0)
    track_this(step=2, twice=2.0)
    track_this(nan=float("nan"), infinite=float("-inf"))
    track_this(by_name={"0": "looks like a step"})


def with_context() -> None:
    with get_experiment_tracker_context() as run:
        track_this(inside=get_run_id())
        if run is not None:  # the default context has no value
            run.emit("from_context", 7, 0)


def track_in_children() -> None:
    for number in range(2):
        child = multiprocessing.get_context("fork").Process(target=track_this, kwargs={"step": number, "loss": 0.5})
        child.start()
        child.join()
    track_this(here=1)


def fail_after_tracking() -> None:
    track_this(before=0.5, spam="kept")
    raise ValueError("no such file")


def clean_up() -> None:
    track_this(cleaned=True)


def of_branch(chunk: int) -> None:
    track_this(rows=10 * chunk)


def die() -> None:
    track_this(step=7, loss=0.125)
    os.kill(os.getpid(), signal.SIGKILL)


def of_parallel() -> None:
    track_this(rows=7)

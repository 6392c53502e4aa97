"""Training code in the words of seeds 001 and 002 without Magnus itself: `python seed_script.py`, one run a part."""

import os
from contextlib import nullcontext

from pydantic import BaseModel, Field

import gateway
from gateway.dialects.magnus import get_experiment_tracker_context, get_run_id, track_this


class Eggs(BaseModel):
    ham: str = Field(alias="Ham")


def shapes(run: gateway.Run) -> None:
    with run.step("train"):
        track_this(model=Eggs(Ham="world"), inside={"eggs": [Eggs(Ham="world")]})
        track_this(text="x", true=True, null=None, list=[1, "two"], object={"a": {"b": 1}}, whole=7, part=0.5)
        track_this(step=0, loss=1.0)
        track_this(step=1, loss=0.5)
        track_this(default=3)


def variables(run: gateway.Run) -> None:
    with run.step("shell"):
        os.environ.update({
            "MAGNUS_TRACK_whole": "42", "MAGNUS_TRACK_part": "42.5", "MAGNUS_TRACK_text": "hello",
            "MAGNUS_TRACK_yes": "true", "MAGNUS_TRACK_no": "False", "MAGNUS_TRACK_loss_STEP_0": "1",
            "MAGNUS_TRACK_loss_STEP_1": "0.5", "MAGNUS_TRACK_eggs": '{"ham": "world"}',
            "MAGNUS_TRACK_empty": "", "MAGNUS_TRACK_": "no key", "MAGNUS_TRACK_bad_STEP_x": "3",
        })  # fmt: skip


def context(run: gateway.Run) -> None:
    found = get_experiment_tracker_context()
    with run.step("train"), found as value:
        track_this(is_null=isinstance(found, nullcontext), is_run=value is run, run_id=get_run_id())


def older_form(run: gateway.Run) -> None:
    os.environ["GATEWAY_MAGNUS_STEPS"] = "suffix"
    with run.step("train"):
        for step in range(3):
            track_this(step=step, answer=40 + step)


if __name__ == "__main__":
    for part in (shapes, variables, context, older_form):
        with gateway.start_run(run_id=f"script-{part.__name__}", tag="exp-seeds") as current:
            part(current)

"""
Tasks of pipelines as seeds 000, 001 and 002 show or describe them, for real Magnus; nothing here knows the gateway.

`python seed_tasks.py` executes a pipeline for each, in one process, with the configuration `gateway.yaml`.
"""

import os
import sys
from pathlib import Path

from magnus import Pipeline, Task, get_experiment_tracker_context, track_this
from magnus.entrypoints import execute
from pydantic import BaseModel


class EggsModel(BaseModel):
    ham: str


def emit_metrics() -> None:
    """Seed 000: nested metrics as pydantic models."""
    track_this(spam="hello", eggs=EggsModel(ham="world"), answer=42.0, is_it_true=False)


def emit_steps() -> None:
    """Seed 001, "Incremental tracking"."""
    track_this(spam="hello", eggs=EggsModel(ham="world"), answer=42.0, is_it_true=False)
    track_this(step=1, spam="hey", eggs=EggsModel(ham="universe"))


def code_of_seed_002() -> None:
    # In some step of the pipeline or function or notebook
    from magnus import track_this

    track_this(answer=42, step=0)

    os.environ["MAGNUS_TRACK_" + "question"] = "42"  # the document sets a number, which os.environ does not take
    context = get_experiment_tracker_context()

    with context:
        track_this(inside=True)


def history_of_seed_002() -> None:
    for step in range(3):
        track_this(step=step, answer=40 + step)


SDK = {"seed-000": ("Emit Metrics", emit_metrics), "seed-001-steps": ("Emit Metrics", emit_steps)}
SDK |= {"seed-001-do-nothing": ("Emit Metrics", emit_metrics)}  # with the default of Magnus, not our tracker
SDK |= {"seed-002": ("code", code_of_seed_002), "seed-002-history": ("code", history_of_seed_002)}
SHELL = {
    "seed-001": ["spam=hello", """eggs='{"ham": "world"}'""", "answer=42.0"],
    "seed-001-shell-steps": [
        *("spam_STEP_0=hello", "spam_STEP_1=hey", "answer_STEP_0=42.0", "whole=7", "yes=true", "no=False", "tiny=1e-3"),
        *("""eggs_STEP_0='{"ham": "world"}'""", """eggs_STEP_1='{"ham": "universe"}'"""),
    ],
}
DAG = """
dag:
  start_at: shell
  steps:
    shell:
      type: task
      command_type: shell
      command: >-
        {command}
      next: success
    success: {{type: success}}
    fail: {{type: fail}}
"""

if __name__ == "__main__":
    for run_id in sys.argv[1:] or [*SDK, *SHELL]:
        configuration = "do-nothing.yaml" if run_id.endswith("do-nothing") else "gateway.yaml"
        if run_id in SHELL:
            command = " && ".join(f"export MAGNUS_TRACK_{word}" for word in SHELL[run_id])
            Path(f"{run_id}.yaml").write_text(DAG.format(command=command), encoding="utf-8")
            execute(configuration_file=configuration, pipeline_file=f"{run_id}.yaml", run_id=run_id, tag="exp-seeds")
            continue
        name, function = SDK[run_id]
        task = Task(name=name, command=f"seed_tasks.{function.__name__}", terminate_with_success=True)
        pipeline = Pipeline(steps=[task], start_at=task, add_terminal_nodes=True)
        pipeline.execute(configuration_file=configuration, run_id=run_id, tag="exp-seeds")

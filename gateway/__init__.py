"""
Experiment tracking on one durable log: `import gateway`, `gateway.emit("loss", 0.1, step=3)`.

    with gateway.start_run(params={"lr": 0.1}) as run:
        for step in range(1_000):
            gateway.emit("loss", train(step), step=step)

Importing this reads no environment, starts no thread and loads no other module: the client behind a name is
loaded when the name is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it; importing typing would cost more than this whole package
if TYPE_CHECKING:
    from gateway import artifacts, experiments, models, query, read, runs
    from gateway.client.encoding.histogram import Histogram, histogram
    from gateway.client.errors import ClientError
    from gateway.client.recording.report import Report
    from gateway.client.run.barrier import BarrierTimeout
    from gateway.client.run.current import (
        artifact,
        current_run,
        emit,
        finish,
        flush,
        log_artifact,
        log_artifacts,
        log_params,
        note,
        set_labels,
        set_tags,
        start_run,
        step,
        text,
    )
    from gateway.client.run.defined.functions import define_metric
    from gateway.client.run.logged.functions import log_dict, log_figure, log_image, log_table, log_text
    from gateway.client.run.run import Run
    from gateway.notebook.charts import chart

__version__ = "0.1.0"

__all__ = [
    "BarrierTimeout",
    "ClientError",
    "Histogram",
    "Report",
    "Run",
    "artifact",
    "artifacts",
    "chart",
    "current_run",
    "define_metric",
    "emit",
    "experiments",
    "finish",
    "flush",
    "histogram",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_params",
    "log_table",
    "log_text",
    "models",
    "note",
    "query",
    "read",
    "runs",
    "set_labels",
    "set_tags",
    "start_run",
    "step",
    "text",
]

_HOMES = {
    "BarrierTimeout": "gateway.client.run.barrier",
    "ClientError": "gateway.client.errors",
    "Histogram": "gateway.client.encoding.histogram",
    "Report": "gateway.client.recording.report",
    "Run": "gateway.client.run.run",
    "chart": "gateway.notebook.charts",
    "define_metric": "gateway.client.run.defined.functions",
    "histogram": "gateway.client.encoding.histogram",
    "log_dict": "gateway.client.run.logged.functions",
    "log_figure": "gateway.client.run.logged.functions",
    "log_image": "gateway.client.run.logged.functions",
    "log_table": "gateway.client.run.logged.functions",
    "log_text": "gateway.client.run.logged.functions",
}
_MODULES = frozenset({"artifacts", "experiments", "models", "query", "read", "runs"})  # of this folder


if not TYPE_CHECKING:  # a type checker that saw it would accept any name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'gateway' has no attribute {name!r}")
        if name in _MODULES:
            return __import__(f"gateway.{name}", fromlist=[name])  # which also sets the attribute
        home = _HOMES.get(name, "gateway.client.run.current")
        found = getattr(__import__(home, fromlist=[name]), name)
        globals()[name] = found  # the next use does not come here
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

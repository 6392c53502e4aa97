"""
The tools that are measured: each in each mode, what it is installed from, and what "finished" means for it.

The tests compare this list with docs/benchmarks.md.
"""

from __future__ import annotations

from typing import NamedTuple

NUMPY = "numpy==2.4.6"  # the training loop is written in it


class Peer(NamedTuple):
    """One tool in one mode."""

    name: str  # in --peers
    adapter: str  # file in benchmarks/adapters
    environment: str  # folder of its virtual environment, shared by the modes of one tool; "" is the running Python
    requirements: tuple[str, ...]
    durable: str  # what finish() waits for, in that tool's own words
    server: str = ""  # that the benchmark starts for it: "kafka", "mlflow" or "postgres"
    variables: tuple[tuple[str, str], ...] = ()  # of the environment of its process


_MLFLOW = ("mlflow==3.17.2", NUMPY)
_MLFLOW_SETTINGS = (("MLFLOW_DISABLE_TELEMETRY", "true"), ("MLFLOW_ALLOW_FILE_STORE", "true"))
_WANDB = (("WANDB_MODE", "offline"), ("WANDB_SILENT", "true"), ("WANDB_ERROR_REPORTING", "false"))

OURS = "gateway"
PEERS = (
    Peer(OURS, "ours", "", (), "acknowledged by Kafka", "kafka"),
    Peer("gateway-offline", "ours", "", (), "in the journal on disk; `gateway sync` sends it", "kafka"),
    Peer("json-lines", "json_lines", "", (), "each call writes a line to a file"),
    Peer("wandb", "wandb_offline", "wandb", ("wandb==0.31.0", NUMPY), "the .wandb file is closed", "", _WANDB),
    Peer("mlflow-file", "mlflow_runs", "mlflow", _MLFLOW, "each call appends to a file", "", _MLFLOW_SETTINGS),
    Peer("mlflow-sqlite", "mlflow_runs", "mlflow", _MLFLOW, "each call commits to SQLite", "", _MLFLOW_SETTINGS),
    Peer(
        "mlflow-async",
        "mlflow_runs",
        "mlflow",
        _MLFLOW,
        "its queue is empty: committed to SQLite",
        "",
        _MLFLOW_SETTINGS,
    ),
    Peer(
        "mlflow-http",
        "mlflow_runs",
        "mlflow",
        _MLFLOW,
        "each call is answered by the server",
        "mlflow",
        _MLFLOW_SETTINGS,
    ),
    Peer("trackio", "trackio_local", "trackio", ("trackio==0.43.0", NUMPY), "its queue is committed to SQLite"),
    Peer("aim", "aim_local", "aim", ("aim==3.29.1", NUMPY), "the run is closed in RocksDB"),
    Peer(
        "neptune-scale",
        "neptune_offline",
        "neptune",
        ("neptune-scale==0.30.0", NUMPY),
        "each call commits to SQLite",
        "",
        (("NEPTUNE_LOGGER_LEVEL", "error"),),
    ),
    Peer("swanlab", "swanlab_offline", "swanlab", ("swanlab==0.10.3", NUMPY), "its log file is closed"),
    Peer(
        "tensorboardX", "tensorboard_files", "tensorboardx", ("tensorboardX==2.6.5", NUMPY), "the event file is closed"
    ),
)

# Logs nothing: its slowdown is the noise of the machine.
CONTROL = Peer("nothing", "nothing", "", (), "")

# For the same points in bulk, until the tool's own reader finds them; ours is a whole running system.
INGEST_PEERS = (
    Peer(OURS, "", "", (), "a query of PostgreSQL returns them"),
    Peer(
        "mlflow-sqlite",
        "mlflow_batches",
        "mlflow",
        _MLFLOW,
        "get_metric_history returns them from SQLite",
        "",
        _MLFLOW_SETTINGS,
    ),
    Peer(
        "mlflow-postgres",
        "mlflow_batches",
        "mlflow-postgres",
        (*_MLFLOW, "psycopg2-binary==2.9.11"),
        "get_metric_history returns them from PostgreSQL",
        "postgres",
        _MLFLOW_SETTINGS,
    ),
    Peer("trackio", "trackio_local", "trackio", ("trackio==0.43.0", NUMPY), "get_logs returns them from SQLite"),
    Peer("aim", "aim_local", "aim", ("aim==3.29.1", NUMPY), "Run.metrics returns them from RocksDB"),
)


def chosen(names: str, among: tuple[Peer, ...] = PEERS) -> list[Peer]:
    """
    Return ours and the peers of a comma-separated list, in catalogue order; "all" selects every peer, "none" only ours.

    Raises ValueError naming the peers that are not in the catalogue.
    """
    known = {peer.name: peer for peer in among}
    if names == "none":
        return [peer for peer in among if peer.name == OURS]
    wanted = set(known) if names == "all" else {name.strip() for name in names.split(",") if name.strip()}
    unknown = sorted(wanted - set(known))
    if unknown:
        raise ValueError(f"unknown peers {', '.join(unknown)}: choose among {', '.join(known)}, all or none")
    return [peer for peer in among if peer.name in wanted | {OURS}]

"""
One Apache Kafka broker for one home: format its storage, configure it, and probe whether it serves.

KRaft, one node, loopback only. Data written before a SIGKILL is in the kernel's page cache, so the broker finds it at
its next start; only a power cut can lose acknowledged records, as with any single replica.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from gateway.local.command import Command
from gateway.local.ports import HOST
from gateway.local.progress import Progress
from gateway.local.servers.java import find_java
from gateway.local.servers.kafka_jars import ensure_jars
from schemas.errors import LogUnavailable, StackError

MAX_RECORD_BYTES = 16 * 1024 * 1024  # a client batch is 256 KiB before headers; params and text may be larger
FORMAT_TIMEOUT_S = 60
_JVM_FLAGS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")
_LOCALE = {"LC_ALL": "C.UTF-8"}  # under the C locale Java cannot open a path that is not ASCII


def prepare(folder: Path, *, port: int, controller_port: int, progress: Progress | None = None) -> Command:
    """
    Return the command that runs the broker of `folder` in the foreground, formatting storage at the first start.

    Raises StackError when Java or a jar is missing, or formatting fails.
    """
    java = str(find_java().path)
    class_path = os.pathsep.join(str(jar) for jar in ensure_jars(progress))
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text(server_properties(folder / "data", port, controller_port), encoding="ascii")
    log_config = folder / "log4j2.properties"
    log_config.write_text(_LOG4J, encoding="utf-8")
    jvm = [java, *_JVM_FLAGS, f"-Dlog4j2.configurationFile={log_config}", "-cp", class_path]
    if not (folder / "data" / "meta.properties").exists():  # written last, so an interrupted format is repeated
        _format(jvm, properties)
    return Command([*jvm, "kafka.Kafka", str(properties)], _LOCALE)


def server_properties(data: Path, port: int, controller_port: int) -> str:
    """Return the broker's configuration file."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": _escape(str(data)),
        "auto.create.topics.enable": "false",  # a mistyped topic must be an error
        "message.max.bytes": MAX_RECORD_BYTES,
        "replica.fetch.max.bytes": MAX_RECORD_BYTES,
        "log.retention.ms": -1,
        "offsets.retention.minutes": 5_256_000,  # ten years: a tracker switched off for a month keeps its offsets
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # default 128 MiB of the 512 MiB heap
        "num.network.threads": 2,
        "num.io.threads": 4,
        # After a SIGKILL the controller admits the broker only when its old session has run out. Default 9000:
        # measured 10.6 s to readiness instead of 4.6.
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _escape(text: str) -> str:
    """Return text as Java reads it from a properties file: Latin-1, with UTF-16 escapes for everything else."""
    units = text.encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F and code != 0x5C else f"\\u{code:04x}" for code in codes)


_LOG4J = """\
appenders=stderr
appender.stderr.type=Console
appender.stderr.name=stderr
appender.stderr.target=SYSTEM_ERR
appender.stderr.layout.type=PatternLayout
appender.stderr.layout.pattern=%d{yyyy-MM-dd HH:mm:ss,SSS} %p %m (%c{1})%n
rootLogger.level=WARN
rootLogger.appenderRefs=stderr
rootLogger.appenderRef.stderr.ref=stderr
loggers=server
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


def _format(jvm: list[str], properties: Path) -> None:
    # kafka.tools.StorageTool wants 16 random bytes, base64 for URLs, without padding.
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    argv = [*jvm, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", str(properties)]
    try:
        environment = {**os.environ, **_LOCALE}
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"Kafka's storage cannot be formatted ({error}): run `gateway doctor`") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise StackError(
            f"Kafka's storage in {properties.parent} cannot be formatted ({' '.join(last)[:300]}): "
            "check free disk space and the folder's permissions"
        )


def probe(bootstrap: str, timeout_s: float = 2.0) -> None:
    """
    Return once a broker of the list answers a metadata request and knows an active broker.

    The request is written by hand (version 0 of the header), so that a probe needs no client library and no event
    loop. Raises LogUnavailable, naming each address and its reason.
    """
    reasons = []
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            brokers = _count_brokers(host.strip("[]"), int(port), timeout_s)
        except (OSError, ValueError, struct.error) as error:
            reasons.append(f"{address.strip()}: {error or type(error).__name__}")
            continue
        if brokers:
            return
        reasons.append(f"{address.strip()}: no broker is active yet")
    raise LogUnavailable(
        f"Kafka cannot be reached ({'; '.join(reasons)}): start the broker there, or correct GATEWAY_KAFKA"
    )


def _count_brokers(host: str, port: int, timeout_s: float) -> int:
    # Metadata v4, no topics: every broker since 1.0 answers the oldest versions, 4.x included.
    header = struct.pack(">hhi", 3, 4, 1) + _text("gateway")
    body = struct.pack(">ib", 0, 0)
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(struct.pack(">i", len(header + body)) + header + body)
        size = struct.unpack(">i", _read(connection, 4))[0]
        if not 12 <= size <= 1_000_000:
            raise ValueError("what listens there is not a Kafka broker")
        answer = _read(connection, size)
    correlation, _throttle, brokers = struct.unpack_from(">iii", answer)
    if correlation != 1:
        raise ValueError("what listens there is not a Kafka broker")
    return int(brokers)


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _read(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = connection.recv(count - len(got))
        if not more:
            raise ValueError("the connection was closed without an answer")
        got += more
    return got

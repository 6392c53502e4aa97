"""A real broker with TLS, mutual TLS and SASL, its own certificate authority and users."""

from __future__ import annotations

import os
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from gateway.local.command import Command
from gateway.local.ports import HOST, free_ports
from gateway.local.servers import kafka
from gateway.local.servers.java import find_java
from gateway.local.servers.kafka_jars import ensure_jars
from gateway.local.supervision.process import end, spawn, wait_until
from tests.support import services

USER, PASSWORD = "trainer", "not-a-real-secret"
LISTENERS = ("PLAIN", "SSL", "SASL_PLAINTEXT", "SASL_SSL", "CONTROLLER")
MECHANISMS = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
_MODULES = {
    "plain": f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    "scram-sha-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "scram-sha-512": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
}


@dataclass(frozen=True)
class SecuredKafka:
    """Addresses of the broker by security protocol, and the files that a client needs."""

    addresses: dict[str, str]
    folder: Path

    def settings(self, security: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """Return the settings of a client that the broker admits."""
        found = {"kafka": self.addresses[security], "kafka_security": security}
        if security.endswith("SSL"):
            found["kafka_ca"] = str(self.folder / "ca.pem")
        if security == "SSL":
            found |= {"kafka_cert": str(self.folder / "client.pem"), "kafka_key": str(self.folder / "client.pem")}
        if security.startswith("SASL"):
            found |= {
                "kafka_sasl_mechanism": mechanism,
                "kafka_sasl_user": USER,
                "kafka_sasl_password": PASSWORD,
            }
        return found


JVM_FLAGS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
)  # as in the stack: half the CPU time until it is ready


@contextmanager
def running_secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Yield a broker that runs until the block ends. The test itself reads through its plain listener."""
    folder.mkdir()
    _write_certificates(folder)
    ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
    addresses = {name: f"{HOST}:{port}" for name, port in ports.items()}
    (folder / "server.properties").write_text(_properties(folder, addresses), encoding="ascii")
    jvm = [str(find_java().path), *JVM_FLAGS, "-cp", os.pathsep.join(map(str, ensure_jars()))]
    _format(jvm, folder)
    command = Command([*jvm, "kafka.Kafka", str(folder / "server.properties")], {"LC_ALL": "C.UTF-8"})
    with (folder / "kafka.log").open("ab") as log:
        child = spawn(command, log)
        try:
            ready = wait_until(lambda: services.answers(addresses["PLAIN"]), child, 60)
            assert ready, (folder / "kafka.log").read_text()
            yield SecuredKafka(addresses, folder)
        finally:
            end(child, timeout_s=10)


def _write_certificates(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, made in (
        ("server", authority.issue_cert(HOST, "localhost")),
        ("client", authority.issue_cert("client.invalid")),
    ):
        key = serialization.load_pem_private_key(made.private_key_pem.bytes(), None)
        written = key.private_bytes(  # Java reads only PKCS 8
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        (folder / f"{name}.pem").write_bytes(written + chain)


def _properties(folder: Path, addresses: dict[str, str]) -> str:
    base = kafka.server_properties(folder / "data", 1, 2).splitlines()
    kept = [
        line for line in base if not line.startswith(("listeners=", "advertised.", "controller.quorum", "log.dirs"))
    ]
    listeners = ",".join(f"{name}://{address}" for name, address in addresses.items())
    settings = {
        "log.dirs": str(folder / "data"),
        "controller.quorum.voters": f"1@{addresses['CONTROLLER']}",
        "listeners": listeners,
        "advertised.listeners": listeners.rpartition(",")[0],
        "listener.security.protocol.map": "PLAIN:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,"
        "CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAIN",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": MECHANISMS,
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        for mechanism, module in _MODULES.items():
            settings[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = module
    return "\n".join([*kept, *(f"{name}={value}" for name, value in settings.items())]) + "\n"


def _format(jvm: list[str], folder: Path) -> None:
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    users = [f"SCRAM-SHA-{size}=[name={USER},password={PASSWORD}]" for size in (256, 512)]
    argv = [*jvm, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(folder / "server.properties")]
    argv += [part for user in users for part in ("--add-scram", user)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

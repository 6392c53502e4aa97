"""
Check servers that the user runs elsewhere, and explain in one line why one cannot be used.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from urllib.parse import urlsplit

from gateway.local.addresses import Plan
from gateway.local.servers import kafka
from schemas.errors import BadSettings, LogUnavailable, StoreRefused, StoreUnavailable, TrackerUnavailable
from schemas.runtime.settings import Settings
from schemas.runtime.text import mask_password

CONNECT_TIMEOUT_S = 5.0
_UNREADABLE = "write %2F for /, %40 for @, %3A for :, %23 for # and %3F for ? in user and password of"


def check_external(plan: Plan) -> None:
    """Raise the error of the first external server that cannot be used."""
    settings = plan.settings
    if "kafka" in plan.external:
        check_kafka(settings, CONNECT_TIMEOUT_S)
    if "postgres" in plan.external:
        check_postgres(settings.postgres.get_secret_value())
    if "mlflow" in plan.external and "mlflow" in settings.trackers:
        check_mlflow(settings.mlflow_url)


def check_kafka(settings: Settings, timeout_s: float = 2.0) -> None:
    """
    Check that a broker answers. Raises LogUnavailable, and BadSettings naming a file.

    With TLS or SASL, only the connection and the broker's certificate are checked: the processes themselves
    authenticate, and report a refusal.
    """
    if settings.kafka_security == "PLAINTEXT":
        kafka.probe(settings.kafka, timeout_s)
        return
    reasons = []
    for address in settings.kafka.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as plain:
                if settings.kafka_security.endswith("SSL"):
                    _tls_context(settings).wrap_socket(plain, server_hostname=host.strip("[]")).close()
                return
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reasons.append(f"{address.strip()}: {error or type(error).__name__}")
    raise LogUnavailable(
        f"Kafka cannot be reached ({'; '.join(reasons)}): start the broker there, or correct GATEWAY_KAFKA, "
        "GATEWAY_KAFKA_SECURITY and GATEWAY_KAFKA_CA"
    )


def _tls_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
        if settings.kafka_cert is not None:
            context.load_cert_chain(settings.kafka_cert, settings.kafka_key)
    except OSError as error:
        raise BadSettings(f"kafka_ca, kafka_cert or kafka_key cannot be used ({error}): name PEM files") from error
    return context


def check_postgres(dsn: str) -> None:
    """Check that a login works. Raises StoreRefused (password, database, ...) or StoreUnavailable."""
    asyncio.run(_log_in(dsn))


async def _log_in(dsn: str) -> None:
    import asyncpg

    shown = mask_password(dsn)
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise StoreRefused(f"PostgreSQL refuses the login ({error}) for {shown}: correct GATEWAY_POSTGRES") from error
    except asyncpg.CannotConnectNowError as error:
        raise StoreUnavailable(f"PostgreSQL at {shown} is not ready ({error}): wait until it is") from error
    except ValueError as error:  # its text quotes what it takes for the port: it may be a part of the password
        raise StoreRefused(f"PostgreSQL's address {shown} cannot be read: {_UNREADABLE} GATEWAY_POSTGRES") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreRefused(f"PostgreSQL at {shown} cannot be used ({error}): correct GATEWAY_POSTGRES") from error
    except (OSError, TimeoutError) as error:
        raise StoreUnavailable(
            f"PostgreSQL at {shown} cannot be reached ({error or type(error).__name__}): "
            "start the server there, or correct GATEWAY_POSTGRES"
        ) from error
    await connection.close(timeout=CONNECT_TIMEOUT_S)


def check_mlflow(url: str) -> None:
    """
    Check GET /health. Raises TrackerUnavailable and BadSettings.

    An address that is not HTTP (file, database) is not checked.
    """
    try:
        address, port = urlsplit(url), urlsplit(url).port
    except ValueError as error:  # as above
        raise BadSettings(
            f"the address of MLflow, {mask_password(url)}, cannot be read: {_UNREADABLE} GATEWAY_MLFLOW_URL"
        ) from error
    if address.scheme not in ("http", "https"):
        return
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(address.hostname or "", port, timeout=CONNECT_TIMEOUT_S)
        connection.request("GET", address.path.rstrip("/") + "/health")
        status = connection.getresponse().status
        connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise TrackerUnavailable(
            f"the MLflow server at {mask_password(url)} cannot be reached ({error or type(error).__name__}): "
            "start the server there, or correct GATEWAY_MLFLOW_URL"
        ) from error
    if status == 404:
        raise TrackerUnavailable(
            f"{mask_password(url)} is not an MLflow server (no /health there): correct GATEWAY_MLFLOW_URL"
        )

"""
Credentials and certificates for Kafka: this process's settings as arguments of aiokafka.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from schemas.errors import BadSettings

if TYPE_CHECKING:
    from schemas.runtime.settings import Settings


def security_arguments(settings: Settings) -> dict[str, Any]:
    """Return the security arguments of aiokafka's clients. Raises BadSettings, naming a file that cannot be used."""
    found: dict[str, Any] = {"security_protocol": settings.kafka_security}
    if settings.kafka_security.endswith("SSL"):
        found["ssl_context"] = _trust(settings)
    if settings.kafka_security.startswith("SASL"):
        found["sasl_mechanism"] = settings.kafka_sasl_mechanism
        found["sasl_plain_username"] = settings.kafka_sasl_user
        found["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return found


def _trust(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
    except OSError as error:  # ssl.SSLError is one
        raise BadSettings(
            f"setting kafka_ca {settings.kafka_ca} cannot be used ({error}): name a PEM file of certificates"
        ) from error
    if settings.kafka_cert is not None:
        try:
            context.load_cert_chain(settings.kafka_cert, settings.kafka_key)
        except OSError as error:
            raise BadSettings(
                f"settings kafka_cert {settings.kafka_cert} and kafka_key {settings.kafka_key} cannot be used "
                f"({error}): name PEM files that belong together"
            ) from error
    return context

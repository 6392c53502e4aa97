"""
Make the transport that fits an address. Its vendor library is imported only then.
"""

from __future__ import annotations

from gateway.client.process.forks import importing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.address import Address
    from gateway.client.transports.transport import Transport


def make_transport(address: Address) -> Transport:
    """Return a new transport, not yet open, to an address that keeps events."""
    if address.is_http:
        with importing():
            from gateway.client.transports.http_transport import HttpTransport

        return HttpTransport(address.url, token=address.options.get("token", ""), ca=address.options.get("tls_ca", ""))
    with importing():
        from gateway.client.transports.kafka_transport import KafkaTransport

    return KafkaTransport(address.servers, address.topic, address.options)

"""
The HTTP door to the artifact store: `PUT`, `GET` and `HEAD /v1/artifacts/sha256/<hex>` (docs/artifacts.md).

- `routes`: who may send, and what is answered. `receiving`: bytes in, counted and checked before they can be seen.
  `incoming`: bytes in whose digest is known at their end. `sending`: bytes out. `ranges`: the header `Range`.
  `storage`: the store that GATEWAY_ARTIFACTS names.
"""

"""
The HTTP door to the artifact store: `PUT`, `GET` and `HEAD /v1/artifacts/sha256/<hex>` (docs/artifacts.md).

- `routes`: who may send, what is answered, and bytes out. `receiving`: bytes in, counted and checked before they can be
  seen. `ranges`: the header `Range`. `storage`: the store that GATEWAY_ARTIFACTS names.
"""

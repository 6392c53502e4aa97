"""
POST /v1/events (docs/ingest.md): `routes` takes requests; `bodies` reads, unpacks and checks a body against its
limits before anything of it is sent.
"""

"""
POST /v1/events (docs/ingest.md): `routes` checks the token and answers; `bodies` reads, unpacks and checks a
body against its limits before any record of it is written.
"""

"""
Work on whole tables: `rebuild` (new tables next to the live ones, and their exchange), `compare` (byte for byte) and
`retention` (dropping months; `retention_dropped` records it, and the fold and every rebuild respect it:
docs/retention.md).
"""

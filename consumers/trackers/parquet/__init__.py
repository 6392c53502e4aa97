"""Parquet: Arrow tables, one folder a run."""

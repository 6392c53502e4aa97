"""Experiment tracking on one durable log."""

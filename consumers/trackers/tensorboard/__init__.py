"""TensorBoard: one event file a run."""

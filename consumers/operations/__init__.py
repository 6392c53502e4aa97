"""What whoever operates the consumers sees of them: metrics, health, lag."""

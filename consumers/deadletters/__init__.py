"""
Dead letters: records that can never be folded. Limits on their number, their topic, and the decisions about them.
"""

"""
What becomes of records that can never be folded: bounds on how many, their topic, and what people decide about them.
"""

"""
Start, supervise and end the processes of the embedded stack.
"""

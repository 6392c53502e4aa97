"""Other people's tracking APIs on top of the client."""

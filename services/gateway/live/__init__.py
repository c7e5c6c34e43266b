"""Live updates: the stream parley.live, read once by each gateway, as server-sent events for whoever may see them."""

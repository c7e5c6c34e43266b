"""Parts that all services share."""

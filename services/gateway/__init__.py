"""The HTTP API: takes writes as commands for RabbitMQ, passes questions on to threads, and shows what happens live. Owns no data."""

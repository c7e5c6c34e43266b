"""Real servers for tests, on ports of their own: RabbitMQ, MongoDB, SMTP, and Parley's services as processes."""

"""Faults of services, RabbitMQ, MongoDB and SMTP, all from outside; each is made, lasts, and is taken back."""

"""The whole stack on one machine without containers: real RabbitMQ, real MongoDB, a mail catcher and the three services."""

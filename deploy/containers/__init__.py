"""What the containers need beside the services: secrets, RabbitMQ's definitions, MongoDB's replica set, probes, the demo."""

"""Unit, integration and end-to-end tests; `servers` starts what they talk to."""

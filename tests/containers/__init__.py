"""The images and the compose files, tried for real on a Docker engine; `make test-containers` asks for them."""

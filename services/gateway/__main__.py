"""Runs the gateway: `python -m services.gateway`."""

from services.gateway.app import build
from services.gateway.settings import GatewaySettings
from shared import logs, serve, traces
from shared.settings import load


def main() -> None:
    settings = load(GatewaySettings)
    logs.configure(service="gateway", log_format=settings.log_format, level=settings.log_level)
    traces.configure(service="gateway")
    serve.run(build(settings), settings, origins=settings.origins)


if __name__ == "__main__":
    main()

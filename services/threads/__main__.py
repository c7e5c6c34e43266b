"""Starts threads: `python -m services.threads`."""

from services.threads import app
from services.threads.settings import Settings
from shared import logs, serve, traces
from shared.settings import load


def main() -> None:
    settings = load(Settings)
    logs.configure(service="threads", log_format=settings.log_format, level=settings.log_level)
    traces.configure(service="threads")
    serve.run(app.build(settings), settings)


if __name__ == "__main__":
    main()

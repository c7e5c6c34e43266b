"""`python -m services.notifier`"""

from services.notifier import app
from services.notifier.settings import Settings
from shared import logs, serve, settings, traces


def main() -> None:
    told = settings.load(Settings)
    logs.configure(service="notifier", log_format=told.log_format, level=told.log_level)
    traces.configure(service="notifier")
    serve.run(app.build(told), told)


if __name__ == "__main__":
    main()

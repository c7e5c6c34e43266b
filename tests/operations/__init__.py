"""What operators rely on: figures, dashboards, alerts, traces, logs, settings in the documentation, migrations, back-ups."""

"""The notifier's figures for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.topology import NOTIFIER_QUEUE

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """All on a registry of their own; labels come from closed sets, never from people or orders."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("notifier_events", "Messages consumed, by type", ["type"], registry=registry)
        self.taken = Counter("notifier_taken", "Entries taken for one person, by kind", ["kind"], registry=registry)
        self.known = Counter("notifier_known", "Entries for one person that had been taken before", registry=registry)
        self.mails = Counter("notifier_mails", "Mails that ended, by end state", ["state"], registry=registry)
        self.attempts = Counter("notifier_attempts", "Attempts at sending, by outcome", ["outcome"], registry=registry)
        self.resent = Counter(
            "notifier_resent", "Mails to be sent once more after an unknown outcome", registry=registry
        )
        self.lapsed = Counter("notifier_lapsed", "Leases that ended before their mark", ["state"], registry=registry)
        self.oldest_due_s = Gauge(
            "notifier_oldest_due_seconds", "How long the longest waiting due mail has been due", registry=registry
        )
        self.server_up = Gauge(
            "notifier_smtp_server_up", "1 while the SMTP server takes connections", registry=registry
        )
        self.send_s = Histogram(
            "notifier_send_seconds", "From the lease of a mail to its end", buckets=_SECONDS, registry=registry
        )
        self.accepted_to_sent_s = Histogram(
            "notifier_accepted_to_sent_seconds",
            "From the gateway's accepting the first entry in a mail to the mail server's accepting the mail, MAIL_DELAY included",
            buckets=(*_SECONDS, 300, 3600, 86_400),
            registry=registry,
        )
        self.dead_letters = Counter("notifier_dead_letters", "Deliveries dead-lettered", ["queue"], registry=registry)
        self.dead_letters.labels(NOTIFIER_QUEUE)
        self.server_up.set(1)
        # A series that begins with its first failure has not increased, for Prometheus: they begin at 0.
        for state in ("sent", "failed", "ambiguous", "skipped"):
            self.mails.labels(state)

"""The worker's figures for Prometheus; no label has an unbounded set of values."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.topology import COMMANDS_QUEUE, ORDERS_QUEUE

STAGES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.commands = Counter(
            "parley_commands", "Commands settled, by what became of them", ["outcome"], registry=registry
        )
        self.collisions = Counter(
            "parley_commit_collisions", "Entries for which another writer had taken the place", registry=registry
        )
        self.group_size = Histogram(
            "parley_commit_group_size",
            "Deliveries committed together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
            registry=registry,
        )
        self.group_seconds = Histogram(
            "parley_commit_group_seconds",
            "From taking a group to acknowledging it",
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
        self.swept = Counter("parley_entries_swept", "Entries that the sweeper finished", registry=registry)
        self.oldest_unfinished = Gauge(
            "parley_oldest_unfinished_entry_seconds",
            "Age of the oldest entry whose steps were left behind, 0 when there is none",
            registry=registry,
        )
        self.dead_letters = Counter("parley_dead_letters", "Deliveries dead-lettered", ["queue"], registry=registry)
        for queue in (COMMANDS_QUEUE, ORDERS_QUEUE):
            self.dead_letters.labels(queue)
        self.stage_seconds = Histogram(
            "parley_commit_stage_seconds",
            "Of committing a group: looking its commands up, writing entries, finishing them (project, answer, publish); and of a step of an effect",
            ["stage"],
            buckets=STAGES_S,
            registry=registry,
        )
        self.accepted_to_committed = Histogram(
            "parley_accepted_to_committed_seconds",
            "From the gateway's accepting a command to the commit of its entry",
            buckets=(*STAGES_S, 10, 30, 60, 300, 3600),
            registry=registry,
        )
        self.put_off = Counter(
            "parley_commands_put_off",
            "Commands that went round through a retry tier because their person, or all together, had as many in hand as may be",
            registry=registry,
        )
        self.oldest_command = Gauge(
            "parley_oldest_command_seconds",
            "Age of the oldest command in this worker's hands that is not begun or not finished, 0 when there is none; as the queue is in order, what waits is younger",
            registry=registry,
        )

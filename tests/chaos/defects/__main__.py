"""Applies every defect to this process, to see that each still finds what it replaces: `python -m tests.chaos.defects`."""

from tests.chaos.defects import gateway, notifier, threads
from tests.faults import notifier as notifier_points
from tests.faults import threads as threads_points


def main() -> None:
    threads_points.attach()
    notifier_points.attach()
    threads.take_the_newest_first()
    for defects in (threads.DEFECTS, notifier.DEFECTS, gateway.DEFECTS):
        for apply in defects.values():
            apply()


if __name__ == "__main__":
    main()

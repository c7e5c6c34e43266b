"""A handler of order events for tests without a RabbitMQ: what it would publish is recorded."""

from services.threads.addresses import AddressKeys
from services.threads.announcements import Announcements
from services.threads.order_events import OrderEvents
from services.threads.orders import Orders
from services.threads.projection import Projection
from shared import topology
from shared.events import NOTIFICATION, ContactChanged, ContactData
from shared.publishing import NotPublished, Outgoing

SECRET = "a-secret-of-the-tests-of-32-characters"


class Recorder:
    """Takes the place of the publisher; as long as `is_away`, it fails as one whose process ends does: nothing is published."""

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.is_away = False

    async def publish_until_confirmed(self, message: Outgoing) -> None:
        if self.is_away:
            raise NotPublished("the process ends here")
        self.published.append(message)

    def take(self) -> list[ContactData]:
        taken, self.published = self.published, []
        events = [NOTIFICATION.validate_json(message.body) for message in taken]
        assert {(message.exchange, message.routing_key) for message in taken} <= {
            (topology.NOTIFICATIONS, "contact.changed")
        }
        return [event.data for event in events if isinstance(event, ContactChanged)]


def order_events(*, orders: Orders, projection: Projection, recorder: Recorder | None = None) -> OrderEvents:
    return OrderEvents(
        orders=orders,
        projection=projection,
        announcements=Announcements(link_secret=SECRET, address_keys=AddressKeys(SECRET)),
        publisher=recorder or Recorder(),  # type: ignore[arg-type]  # as much of it as is used
    )

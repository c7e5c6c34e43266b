"""The environment of each of the three services in the local stack."""

from collections.abc import Mapping

from deploy.local.credentials import Credentials
from deploy.local.ports import LOOPBACK
from deploy.local.settings import LocalSettings
from deploy.local.tokens import AUDIENCE, ISSUER
from deploy.mongo_access import with_user

SERVICES = ("threads", "notifier", "gateway")
SHOP_NAME = "Demo Shop"
SHOP_ADDRESS = "service@shop.example"

Environment = Mapping[str, str]


def environments(settings: LocalSettings, credentials: Credentials) -> dict[str, Environment]:
    """By service name: every setting it needs, with its own users of RabbitMQ and MongoDB."""
    own = {
        "gateway": _tokens(credentials) | _gateway(settings, credentials),
        "threads": _tokens(credentials) | _threads(settings, credentials),
        "notifier": _notifier(settings, credentials),
    }
    return {name: _common(name, settings, credentials) | own[name] for name in SERVICES}


def _common(name: str, settings: LocalSettings, credentials: Credentials) -> dict[str, str]:
    return {
        "AMQP_URL": settings.amqp_url(name, credentials.rabbitmq[name]),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": settings.log_level,
        "HTTP_HOST": LOOPBACK,
        "SHOP_NAME": SHOP_NAME,
        "HTTP_PORT": str(settings.ports[f"{name.upper()}_PORT"]),
        "DEMO": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _tokens(credentials: Credentials) -> dict[str, str]:
    return {
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "TOKEN_DEMO_SECRET": credentials.token_secret,
        "LINK_SECRET": credentials.link_secret,
    }


def _gateway(settings: LocalSettings, credentials: Credentials) -> dict[str, str]:
    return {
        "THREADS_URL": settings.threads_url,
        "COMMAND_ID_SECRET": credentials.command_id_secret,
        "PAGES": "on",
        "DEMO_LOGIN": "on",
        "CORS_ORIGINS": settings.cors_origins,
    }


def _threads(settings: LocalSettings, credentials: Credentials) -> dict[str, str]:
    return {
        "MONGO_URL": with_user(settings.mongo_url, "threads", credentials.mongo["threads"]),
        "MONGO_DATABASE": "threads",
        "ROLES": "worker,api",
        "ADDRESS_KEY": credentials.address_key,
        "ADMIN_EMAIL": SHOP_ADDRESS,
        "ADMIN_LOCALE": "en",
        "ORDER_PUBLISHERS": ",".join(settings.publishers),
    }


def _notifier(settings: LocalSettings, credentials: Credentials) -> dict[str, str]:
    gateway = settings.gateway_url
    return {
        "MONGO_URL": with_user(settings.mongo_url, "notifier", credentials.mongo["notifier"]),
        "MONGO_DATABASE": "notifier",
        "SMTP_HOST": LOOPBACK,
        "SMTP_PORT": str(settings.ports["SMTP_PORT"]),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": f"{SHOP_NAME} <{SHOP_ADDRESS}>",
        "MAIL_DELAY": f"{settings.mail_delay_s:g}",
        # The catcher takes any number, and a demo writes to the same few people again and again.
        "MAIL_LIMIT": "0",
        "THREAD_URL": f"{gateway}/pages/orders/{{order_id}}",
        "GUEST_URL": f"{gateway}/pages/guest/{{order_id}}",
        "UNSUBSCRIBE_URL": f"{gateway}/v1/unsubscribe",
    }

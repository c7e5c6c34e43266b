"""What `make run` prints when everything runs: addresses, tokens, and what to type next."""

from deploy.local.credentials import Credentials
from deploy.local.services import SHOP_ADDRESS
from deploy.local.settings import LocalSettings
from deploy.local.shop import ShopOrder
from deploy.local.tokens import TokenMint


def welcome(settings: LocalSettings, credentials: Credentials, orders: list[ShopOrder]) -> str:
    """The whole text. The order in its examples, and its customer, are the first of the demo shop's, the seller the first that it has."""
    order, mint = orders[0], TokenMint(credentials)
    vendor = next(each.seller for each in orders if each.seller is not None)
    customer = mint.mint("customer", order.customer.id, name=order.customer.name)
    seller = mint.mint("seller", f"{vendor.id}-login", name=vendor.name, seller_id=vendor.id)
    admin = mint.mint("admin", "a-1", name="Shop staff", email=SHOP_ADDRESS)
    messages = f"{settings.gateway_url}/v1/orders/{order.order_id}/messages"
    lines = [
        "",
        "Parley is running.",
        "",
        f"  API                {settings.gateway_url}/v1   (documentation: {settings.gateway_url}/docs)",
        f"  caught mails       {settings.mail_page_url}",
        f"  widget to try      {settings.playground_url}   (a page of another origin: docs/widget.md)",
        f"  RabbitMQ           {settings.address('MANAGEMENT_PORT')}   (user operator, password in {settings.run_directory}/secrets/rabbitmq_operator)",
        f"  MongoDB            {settings.mongo_url}   (user root, password in {settings.run_directory}/secrets/mongo_root)",
        f"  logs               {settings.run_directory}/log",
        "",
        "Pages, signed in as (each in a window of its own, or a private one):",
        "",
        f"  {order.customer.name} (customer)    {settings.login_url}#token={customer}",
        f"  Shop staff (admin)    {settings.login_url}#token={admin}",
        f"  {vendor.name} (a seller in its marketplace)    {settings.login_url}#token={seller}",
        "",
        "Tokens, good for twelve hours (more with  make token ROLE=… ID=…):",
        "",
        f"  CUSTOMER={customer}",
        f"  ADMIN={admin}",
        f"  SELLER={seller}",
        f"  SHOP={mint.mint('service', 'demo-shop', name='Demo shop')}",
        "",
        "Try, with those set in a second terminal:",
        "",
        f'  curl -H "Authorization: Bearer $CUSTOMER" {settings.gateway_url}/v1/threads',
        _post("CUSTOMER", "Is it on its way?", messages),
        _post("ADMIN", "It left this morning.", messages),
        f'  curl -H "Authorization: Bearer $CUSTOMER" {messages}',
        "",
        "or  make demo.  Ctrl-C stops everything; the data stays.",
        "",
    ]
    return "\n".join(lines)


def _post(who: str, text: str, url: str) -> str:
    """`--json` would be shorter, but curl has it only since 7.82."""
    headers = f'-H "Authorization: Bearer ${who}" -H "Content-Type: application/json"'
    return f"""  curl {headers} -d '{{"text": "{text}"}}' {url}"""

"""The operator's tool inside the network of a compose file, with the operator's own secrets: `docker compose run --rm ctl …`.

`ctl backup dump|restore FILE` is deploy.backup; everything else is deploy.ctl.
"""

import os
import sys
from pathlib import Path
from urllib.parse import quote

from deploy import backup
from deploy.ctl.__main__ import main as ctl


def main() -> None:
    folder = Path(os.environ.get("SECRETS_ROOT", "/secrets"), "setup")
    rabbitmq, mongo = (quote((folder / name).read_text(), safe="") for name in ("rabbitmq_operator", "mongo_root"))
    hosts = os.environ.get("MONGO_HOSTS", "mongo:27017")
    os.environ["AMQP_URL"] = f"amqp://operator:{rabbitmq}@rabbitmq:5672/parley"
    os.environ["MONGO_URL"] = f"mongodb://root:{mongo}@{hosts}/?replicaSet=rs0&authSource=admin"
    if sys.argv[1:2] == ["backup"]:
        del sys.argv[1]
        backup.main()
    else:
        ctl()


if __name__ == "__main__":
    main()

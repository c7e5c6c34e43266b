"""docs/openapi.yaml, the document that the gateway serves at /openapi.json: `python -m deploy.openapi`."""

import sys

from deploy.documents import write_yaml
from services.gateway.app import undressed


def main() -> None:
    write_yaml(undressed().openapi(), sys.stdout)


if __name__ == "__main__":
    main()

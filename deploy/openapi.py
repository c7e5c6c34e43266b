"""docs/openapi.yaml, the document that the gateway serves at /openapi.json: `python -m deploy.openapi`."""

import sys

import yaml

from services.gateway.app import undressed


def main() -> None:
    yaml.safe_dump(undressed().openapi(), sys.stdout, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    main()

"""services/gateway/pages/invisible.js, the table of shared/visible.py as the pages read it: `python -m deploy.invisible`."""

from shared.visible import INVISIBLE


def main() -> None:
    ranges = "".join(f"\\u{{{first:x}}}-\\u{{{last:x}}}" for first, last in INVISIBLE)
    print("// Made by `make docs` from shared/visible.py.\n")
    print("/** A text of nothing but characters that show nothing: the API refuses it. */")
    print(f"export const SHOWS_NOTHING = /^[{ranges}]*$/u;")


if __name__ == "__main__":
    main()

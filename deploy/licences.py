"""The licences of what the services run with: each package's own words, and whether a user of Parley owes nothing but a notice for it.

The lists are closed: what is not on PERMISSIVE (the GPL and the AGPL among them, or a package that does not say) is refused by name.
"""

import re
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata
from typing import Final

# Licences that ask a user of Parley for nothing but a notice, or for changes of that very file (MPL-2.0).
PERMISSIVE: Final = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Unlicense"}
)
# What packages say instead of a licence's SPDX name, in the metadata of older ones.
SPDX: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def licence(name: str) -> str | None:
    """What the installed package declares; None where it is not installed here (another system's)."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return None
    expressions = said.get_all("License-Expression")
    if expressions:
        return str(expressions[0])
    classifiers = [
        each.rpartition(" :: ")[2] for each in said.get_all("Classifier", []) if each.startswith("License ::")
    ]
    free_text = [line for text in said.get_all("License", []) for line in str(text).splitlines()[:1]]
    found = [each for each in classifiers if each != "OSI Approved"] or free_text
    return " OR ".join(SPDX.get(each, each) for each in found) or "unknown"


def is_permissive(said: str) -> bool:
    """Whether every licence that is named is on the list: of several to choose from, too, so that nobody has to choose."""
    return set(re.split(r" (?:AND|OR) |[()]", said)) - {""} <= PERMISSIVE


def refused(packages: Iterable[str]) -> list[str]:
    """Each of the packages whose licence is not permissive, as `name: what it says`."""
    said = {name: licence(name) for name in packages}
    return [f"{name}: {told}" for name, told in said.items() if told is not None and not is_permissive(told)]


def summary(packages: Iterable[str]) -> str:
    """How many packages there are of each licence, and which are not installed here and so say nothing."""
    said = {name: licence(name) for name in packages}
    counted = Counter(told for told in said.values() if told is not None)
    absent = [name for name, told in said.items() if told is None]
    listed = ", ".join(f"{told} {count}" for told, count in counted.most_common())
    return listed + (f"; not for this system, and not looked at: {', '.join(absent)}" if absent else "")

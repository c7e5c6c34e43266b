"""Dumps Parley's two databases as they were at one moment, and restores them: `python -m deploy.backup dump|restore FILE`.

For shops whose data can be read within MongoDB's snapshot window (five minutes, unless set otherwise); larger ones use mongodump or
snapshots of the disk. Indexes are not in the file: services make them at their start. MONGO_URL is the operator's, as for deploy.ctl.
"""

import gzip
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final, cast

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from deploy.ctl.target import Target
from deploy.local.errors import StackError

RAW: Final = CodecOptions[RawBSONDocument](document_class=RawBSONDocument)
AT_ONCE: Final = 500
# Stands before the documents of each collection.
HEADING: Final = "parley_collection"

Raw = RawBSONDocument


def dump(client: MongoClient[Raw], databases: Sequence[str], path: Path) -> int:
    """Writes every document of these databases, all as of one moment, also while services work; says how many there are.

    Raises FileExistsError: a back-up is never written over.
    """
    count = 0
    with gzip.open(path, "xb") as file, client.start_session(snapshot=True) as session:
        for place, name in enumerate(databases):
            database = client.get_database(name, codec_options=RAW)
            for collection in sorted(database.list_collection_names()):
                file.write(bson.encode({HEADING: collection, "database": place}))
                for document in database[collection].find(session=session):
                    file.write(document.raw)
                    count += 1
    return count


def restore(client: MongoClient[Raw], databases: Sequence[str], path: Path) -> int:
    """Puts every document back into empty databases; says how many there were. No service may run meanwhile.

    Raises StackError where a database holds something.
    """
    targets = [client.get_database(name, codec_options=RAW) for name in databases]
    for target in targets:
        if target.list_collection_names():
            raise StackError(f"the database {target.name} is not empty; drop it first, with no service running")
    count = 0
    with gzip.open(path, "rb") as file:
        for heading, documents in _parts(cast(IO[bytes], file)):
            targets[heading["database"]][heading[HEADING]].insert_many(documents)
            count += len(documents)
    return count


def _parts(file: IO[bytes]) -> Iterator[tuple[Raw, list[Raw]]]:
    """Documents of one collection at a time, with their heading."""
    heading: Raw | None = None
    part: list[Raw] = []
    for document in bson.decode_file_iter(file, codec_options=RAW):
        is_heading = HEADING in document
        if part and (is_heading or len(part) == AT_ONCE) and heading is not None:
            yield heading, part
            part = []
        if is_heading:
            heading = document
        else:
            part.append(document)
    if part and heading is not None:
        yield heading, part


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in ("dump", "restore"):
        sys.exit("python -m deploy.backup dump|restore FILE")
    try:
        target = Target.read()
        databases = (target.threads_database, target.notifier_database)
        with MongoClient[Raw](target.mongo_url, document_class=RawBSONDocument) as client:
            count = (dump if sys.argv[1] == "dump" else restore)(client, databases, Path(sys.argv[2]))
    except (StackError, OSError) as error:
        sys.exit(f"backup: {error}")
    print(f"{count} documents")


if __name__ == "__main__":
    main()

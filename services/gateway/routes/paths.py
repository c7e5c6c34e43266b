"""Parameters in paths."""

from typing import Annotated

from fastapi import Path

from shared.fields import CommandId, OrderId, OrderVersion

OrderIdInPath = Annotated[OrderId, Path(description="The shop's order number", examples=["1042"])]
OrderVersionInPath = Annotated[OrderVersion, Path(description="The version of the snapshot", examples=[1])]
MessageIdInPath = Annotated[CommandId, Path(description="The message's id")]
CommandIdInPath = Annotated[CommandId, Path(description="The id in a 202's `Location` and body")]

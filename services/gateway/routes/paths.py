"""Parameters in paths."""

from typing import Annotated

from fastapi import Path

from shared.fields import CommandId, OrderId

OrderIdInPath = Annotated[OrderId, Path(description="The shop's order number", examples=["1042"])]
MessageIdInPath = Annotated[CommandId, Path(description="The message's id")]
CommandIdInPath = Annotated[CommandId, Path(description="The id in a 202's `Location` and body")]

"""What the sensor remembers between two looks at the registry: a small JSON document."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Cursor(BaseModel):
    """The sensor's memory.

    watched  image and pattern it is about; another image or pattern starts from nothing
    seen     fingerprint of the last known digest by tag; "" for one that was not read yet
    checked  tag at which the rotation through the known tags stopped
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    watched: str
    seen: Mapping[str, str] = Field(default_factory=dict)
    checked: str = ""

    @classmethod
    def read(cls, text: str | None, watched: str) -> Self | None:
        """The memory of `watched` in a stored cursor; None when there is none.

        A cursor that is damaged, of another version or about something else counts as none. That costs nothing: the newest
        releases are asked for again, and Dagster knows their run keys already.
        """
        try:
            cursor = cls.model_validate_json(text or "")
        except ValidationError:
            return None
        return cursor if cursor.watched == watched else None

    def write(self) -> str:
        """The text to store: about 40 bytes a tag. Dagster keeps a copy with every tick."""
        return self.model_dump_json()


def watched(image: object, pattern: str) -> str:
    """What a memory is about."""
    return f"{image} {pattern}"

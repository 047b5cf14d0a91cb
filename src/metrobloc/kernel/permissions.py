"""Who may do an action, as values: a permission can be asked, combined, listed and shown.

Because it is a value and not a function, "may she?", "what may she?" and "who may?" read the same declaration.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct


class Permission(Struct, frozen=True):
    """A condition on the actor's roles."""

    kind: Literal["anyone", "role", "any", "all"]
    role_name: str = ""
    parts: tuple["Permission", ...] = ()

    def __or__(self, other: "Permission") -> "Permission":
        """Allow whom either allows."""
        return Permission("any", parts=(self, other))

    def __and__(self, other: "Permission") -> "Permission":
        """Allow only whom both allow."""
        return Permission("all", parts=(self, other))

    def holds(self, has_role: Callable[[str], bool]) -> bool:
        """Decide for an actor whose roles `has_role` answers."""
        if self.kind == "anyone":
            return True
        if self.kind == "role":
            return has_role(self.role_name)
        combine = any if self.kind == "any" else all
        return combine(part.holds(has_role) for part in self.parts)

    def describe(self) -> str:
        """Say in words who is allowed."""
        if self.kind == "anyone":
            return "any registered account"
        if self.kind == "role":
            return f"role {self.role_name}"
        word = " or " if self.kind == "any" else " and "
        return "(" + word.join(part.describe() for part in self.parts) + ")"


anyone = Permission("anyone")
"""Every registered account."""


def role(name: str) -> Permission:
    """Allow the holders of one role."""
    return Permission("role", role_name=name)

"""A multiple-choice question: what the quizzes, the pretests and the reviews are made of."""

from __future__ import annotations

from dataclasses import dataclass

from .answers import Wrong, something
from .engine import home
from .guard import SECONDS


@dataclass(frozen=True)
class Question:
    """``options`` maps a letter to (what it says, why it is right or wrong).

    The answer is a letter; each wrong one is told its own reason, and so is the right one. For
    ``check`` it looks like an :class:`~.engine.Exercise` whose reference is the right letter.
    """

    id: str
    text: str
    options: dict[str, tuple[str, str]]
    right: str
    hint: str = ""
    returns = something  # class attributes: no question needs others
    seconds = SECONDS

    @property
    def notebook(self) -> str:
        """Where it stands: ``quiz1`` for ``quiz1.3``, unless it has moved."""
        return home(self.id)

    @property
    def title(self) -> str:
        """What ``progress`` and ``check`` print."""
        return self.text

    @property
    def reference(self) -> str:
        """The right letter."""
        return self.right

    @property
    def hints(self) -> tuple[str, ...]:
        """The one hint, if there is one."""
        return (self.hint,) if self.hint else ()

    @property
    def praise(self) -> str:
        """Why the right option is right."""
        return self.options[self.right][1]

    def test(self, answer) -> None:
        """Raise :class:`Wrong`, with the option's reason, for every answer but the right letter."""
        letter = str(answer).strip().lower()
        if letter not in self.options:
            raise Wrong(f"Answer with one letter of {', '.join(self.options)}, for example \"a\".")
        if letter != self.right:
            raise Wrong(self.options[letter][1])

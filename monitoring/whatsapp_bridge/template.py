"""[pure] The approved template: the text Meta has approved, what may stand in its parameters, and the request.

Meta refuses a parameter with a line break, a tab or more than four spaces in a row (132018), and a message that is
longer than 1024 characters with its parameters filled in (132005). Both would be refused for ever, so they are made
impossible here.

Free text is never sent: Meta delivers it only within 24 hours of the recipient's last message (131047), which a bridge
that gets no messages cannot know (ADR 0123).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TEMPLATE_TEXT: Final = """\
WearOn alert: {{1}}
Host: {{2}}
What happens: {{3}}
What to do: {{4}}
This message was sent by the monitoring of your WearOn worker. Nobody reads the answers to it."""
"""What the operator has approved at Meta, letter by letter (docs/whatsapp.md). It neither begins nor ends with a
parameter and has enough words of its own for four, because Meta approves no other."""

LONGEST_MESSAGE_CHARACTERS: Final = 1024
"""Of the whole message, the parameters filled in (Meta)."""

LONGEST_PARAMETER_CHARACTERS: Final = (160, 80, 420, 170)
"""Of each parameter. Together with the template's own words they stay below the limit, with room for an operator's
template that is somewhat longer; a telephone shows the first in its notification."""

ELLIPSIS: Final = "…"
EMPTY: Final = "-"
"""Meta refuses an empty parameter."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one message says: the parameters of the template, in order."""

    headline: str
    host: str
    detail: str
    advice: str

    @property
    def parameters(self) -> tuple[str, str, str, str]:
        """As the template has them, each made fit to be sent."""
        texts = (self.headline, self.host, self.detail, self.advice)
        first, second, third, fourth = map(fit, texts, LONGEST_PARAMETER_CHARACTERS)
        return first, second, third, fourth


def fit(text: str, longest_characters: int) -> str:
    """A text that Meta takes as a parameter: one line, single spaces, not empty, cut with an ellipsis."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    line = re.sub(r"\s+", " ", printable).strip()
    if len(line) > longest_characters:
        line = line[: longest_characters - len(ELLIPSIS)].rstrip() + ELLIPSIS
    return line or EMPTY


def request_body(parameters: Sequence[str], *, to: str, template: str, language: str) -> dict[str, object]:
    """The JSON of ``POST /{version}/{phone number id}/messages``."""
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "type": "template",
        "template": {
            "name": template,
            "language": {"code": language},
            "components": [
                {"type": "body", "parameters": [{"type": "text", "text": text} for text in parameters]},
            ],
        },
    }

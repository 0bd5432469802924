"""[pure] What an answer that is no success means: wait, or no?

Between the worker and PostgREST or Storage stand gateways, and each has answers of its own: a page while a container
restarts, a redirect, a limit. None of them is about the session in hand. So the rule is turned round: only what is
known to be about one session, or about pictures, is a no; everything else is "away", and is waited for (ADR 0020).

| who                    | answer                                                    | meaning                    |
|------------------------|-----------------------------------------------------------|----------------------------|
| database               | SQLSTATE 22xxx, 23xxx, P0001                              | no to this session         |
| database, gateway      | 401, 402, 403, 42501, PGRST30x; any redirect              | away; a person must act    |
| Storage                | its own 4xx except below; 413 and 415 from anybody        | no to pictures like this   |
| Storage                | 401, 402, 403, InvalidJWT                                 | away; a person must act    |
| Storage                | 408, 409, 423, 425, 429, 5xx                              | away                       |
| Storage                | 409 Duplicate                                             | it is there already        |
| anybody                | everything else                                           | away                       |
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from models.failures import PlatformFailure, PlatformLocked, PlatformRefused, PlatformUnavailable, StorageRefused
from models.others_words import fit_to_show, gist_of_page

NOT_THE_ANSWER: Final = "not the answer"
"""The reason when a success does not hold what was asked for: something else answered."""

UNKNOWN_FUNCTION_CODES: Final = frozenset({"PGRST202", "42883"})
"""The migration was not applied, or PostgREST has not seen it yet."""

RAISED_BY_A_FUNCTION: Final = "P0001"
SQLSTATE_CHARACTERS: Final = 5
CLASSES_ABOUT_ONE_SESSION: Final = frozenset({"22", "23"})
"""PostgreSQL, appendix A: data exception; integrity constraint violation."""

CLASSES_ABOUT_EVERY_SESSION: Final = frozenset({"08", "25", "53", "58", "XX"})
"""No connection; a read-only database; too few resources; a system's or an internal error."""

LOCKED_STATUSES: Final = frozenset({401, 402, 403})
LOCKED_CODES: Final = frozenset({"42501", "PGRST300", "PGRST301", "PGRST302", "PGRST303", "InvalidJWT"})
"""The key is wrong or lacks the right, or the project is paused."""

UNFIT_PICTURE_STATUSES: Final = frozenset({413, 415})
"""Too large, wrong type: true whoever says so, Storage or the gateway before it."""
PASSING_STATUSES: Final = frozenset({408, 409, 423, 425, 429})
"""Of Storage: too slow, a transaction that met another, locked, too early, too many."""
ALREADY_THERE: Final = frozenset({"Duplicate", "ResourceAlreadyExists", "KeyAlreadyExists"})

SERVER_ERRORS_FROM: Final = 500
REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that is not what was asked for, as it came."""

    status: int
    body: str
    location: str | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The JSON object it holds; empty when it holds none."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def words(self) -> str:
        """What it says, fit to show. PostgREST's ``details`` are left out: they may repeat a row."""
        if self.status in REDIRECTS:
            return fit_to_show(f"redirects to {self.location}") if self.location else "redirects"
        fields = self.fields
        said = [str(fields[name]) for name in ("error", "message", "msg", "hint") if fields.get(name)]
        return fit_to_show(". ".join(dict.fromkeys(said)) if fields else gist_of_page(self.body))


def is_about_one_session(code: str) -> bool:
    """Whether a code of PostgreSQL can be the fault of the session in the arguments."""
    return code == RAISED_BY_A_FUNCTION or (len(code) == SQLSTATE_CHARACTERS and code[:2] in CLASSES_ABOUT_ONE_SESSION)


def may_spare_other_sessions(code: str) -> bool:
    """Whether PostgreSQL said it while it ran a function, and may not say it of the next session: a right or a function
    that one kind of refund lacks, a row that somebody else holds. Wider than :func:`is_about_one_session`: for whoever
    goes on with other sessions and comes back to this one."""
    is_sqlstate = len(code) == SQLSTATE_CHARACTERS and code.isalnum() and code[:2] == code[:2].upper()
    return is_sqlstate and code[:2] not in CLASSES_ABOUT_EVERY_SESSION


def judge_function(operation: str, answer: Answer) -> PlatformFailure:
    """What the answer to a database function means."""
    fields = answer.fields
    code = fields.get("code")
    if not isinstance(code, str) or "message" not in fields:
        return _from_something_between(operation, answer)
    if is_about_one_session(code):
        return PlatformRefused(operation, code, answer.words)
    locked = code in LOCKED_CODES or answer.status in LOCKED_STATUSES
    return (PlatformLocked if locked else PlatformUnavailable)(operation, code, answer.words)


def judge_storage(operation: str, answer: Answer) -> PlatformFailure:
    """What the answer of Storage means; :func:`is_already_there` is asked before."""
    fields = answer.fields
    # Storage answers 400 to most and keeps the status it means in the body.
    status = _number(fields.get("statusCode"))
    if (status or answer.status) in UNFIT_PICTURE_STATUSES:
        return StorageRefused(operation, f"HTTP {status or answer.status}", answer.words)
    if status is None or "message" not in fields:
        return _from_something_between(operation, answer)
    reason = f"HTTP {status}"
    if status in LOCKED_STATUSES or _code_of(fields) in LOCKED_CODES:
        return PlatformLocked(operation, reason, answer.words)
    if status in PASSING_STATUSES or status >= SERVER_ERRORS_FROM:
        return PlatformUnavailable(operation, reason, answer.words)
    return StorageRefused(operation, reason, answer.words)


def is_already_there(answer: Answer) -> bool:
    """Whether Storage holds an object at that path already. At a path that only we write, that is our picture."""
    return "statusCode" in answer.fields and _code_of(answer.fields) in ALREADY_THERE


def _from_something_between(operation: str, answer: Answer) -> PlatformFailure:
    # A page with 403 may be gone in a moment; a gateway that speaks JSON knows what it says about the key.
    locked = answer.status in REDIRECTS or (answer.status in LOCKED_STATUSES and bool(answer.fields))
    reason = NOT_THE_ANSWER if answer.status < REDIRECTS.start else f"HTTP {answer.status}"
    return (PlatformLocked if locked else PlatformUnavailable)(operation, reason, answer.words)


def _code_of(fields: Mapping[str, Any]) -> str:
    """Newer Storage has ``code``; older has its own words in ``error``."""
    known = [fields.get("error"), fields.get("code")]
    named = [name for name in known if isinstance(name, str) and name in ALREADY_THERE | LOCKED_CODES]
    return named[0] if named else ""


def _number(status: object) -> int | None:
    return int(status) if isinstance(status, int | str) and str(status).isdigit() else None

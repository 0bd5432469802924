"""All alert rules, by subject."""

from typing import Final

from monitoring.alerting.rule import Rule
from monitoring.alerting.rules import host, itself, money, pictures, site, whatsapp, worker

RULES: Final[tuple[Rule, ...]] = (
    *pictures.RULES,
    *worker.RULES,
    *money.RULES,
    *host.RULES,
    *site.RULES,
    *whatsapp.RULES,
    *itself.RULES,
)
"""In the order in which they stand in the files and in the table of docs/alerts.md."""

"""[pure] The numbers that a dashboard colours by, each with the requirement it comes from."""

from typing import Final

MINUTE_SECONDS: Final = 60
HOUR_SECONDS: Final = 60 * MINUTE_SECONDS
DAY_SECONDS: Final = 24 * HOUR_SECONDS

HIGH_PERCENTILE: Final = 0.95
"""The percentile of NFR-1.1 and NFR-1.2."""

SUCCESS_PERCENT: Final = 95.0
"""Of 100 generations, 95 end with a picture: what the shop is sold with."""

FAILURE_ALERT_PERCENT: Final = 10.0
"""Story 5.2: above this the error rate is an alert."""

GENERATION_SECONDS: Final = 45.0
"""NFR-1.1: P95 of a whole generation, from the platform's request to the picture."""

SIZE_SECONDS: Final = 3.0
"""NFR-1.2: P95 of a size recommendation."""

RATE_LIMIT_WARNING_PERCENT: Final = 80.0
RATE_LIMIT_PERCENT: Final = 100.0
"""NFR-1.4: never more than the limit in any 60 seconds; from 80 % on, tasks begin to wait for a turn."""

WAITING_WARNING_SECONDS: Final = GENERATION_SECONDS
"""A task that has waited this long has missed NFR-1.1 already."""

STALLED_SECONDS: Final = 30 * MINUTE_SECONDS
"""Story 5.2: half an hour without a processed task while something waits."""

CPU_PERCENT: Final = 85.0
"""Story 5.2."""

MEMORY_WARNING_PERCENT: Final = 80.0
MEMORY_PERCENT: Final = 90.0
"""From 90 % of its limit on, one burst ends a container with status 137."""

HOST_MEMORY_PERCENT: Final = 92.0
"""The services' limits fit into 4 GiB (ADR 0111); less than 8 % free is something else's."""

DISK_WARNING_BYTES: Final = 4 * 1024**3
DISK_BYTES: Final = 2 * 1024**3
"""Story 5.2: 2 GB free; twice that gives a day to act."""

CERTIFICATE_SECONDS: Final = 14 * DAY_SECONDS
"""Renewals begin a month before the end: with 14 days left, two weeks of them have failed."""

NIGHTLY_SECONDS: Final = 26 * HOUR_SECONDS
"""Backup and renewal run once a day at least; two hours for a slow run."""

AUDIT_SECONDS: Final = 3 * HOUR_SECONDS
"""The worker asks for a ledger audit every hour; two may fail without anything being wrong."""

MODEL_SHUTDOWN_SECONDS: Final = 30 * DAY_SECONDS
"""Time to try the next model and release it."""

CONFIDENCE: Final = 0.5
"""Below this a size is closer to a guess than to a measurement."""

MESSAGE_SECONDS: Final = 60.0
"""Story 5.1: an alert is at WhatsApp within a minute."""

MESSAGE_OLD_SECONDS: Final = 5.0 * MINUTE_SECONDS
"""NFR-4.6: from the error to the notification."""

ANY: Final = 0.5
"""One event, as increase() shows it: between 0.9 and 1.1, never exactly 1."""

MEDIAN: Final = 0.5
"""The percentile that half of all stay below: what is normal."""

VERY_HIGH_PERCENTILE: Final = 0.99

TASK_SECONDS: Final = 300.0
"""NFR-5.2: the limit of a task."""

LOW_PERCENTILE: Final = 0.05
"""Where much is good, the one that 95 of 100 are above."""

PROBE_SECONDS: Final = 1.0
"""NFR-1.3's 0.2 s for /health, and connection and TLS before it."""

NGINX_CONNECTIONS_WARNING: Final = 500
NGINX_CONNECTIONS: Final = 1000
"""nginx.conf: 1024 in each of two processes, and a proxied request takes two."""

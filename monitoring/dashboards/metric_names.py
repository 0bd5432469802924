"""[pure] Every metric that a dashboard may ask for, with its labels, so that a misspelt name is found by a test.

``docs/metrics.md`` says what the worker's own mean. The exporters' names are those of the versions in versions.env.
"""

from collections.abc import Mapping
from typing import Final

GENERATIONS: Final = "wearon_generation_total"
GENERATION_SECONDS: Final = "wearon_generation_duration_seconds"
STAGE_SECONDS: Final = "wearon_stage_duration_seconds"
PROVIDER_REQUESTS: Final = "wearon_openai_requests_total"
TOKENS: Final = "wearon_openai_tokens_total"
COST_DOLLARS: Final = "wearon_openai_cost_dollars_total"
RATE_WINDOW: Final = "wearon_rate_window_requests"
RATE_WINDOW_LIMIT: Final = "wearon_rate_window_limit_requests"
REFUNDS: Final = "wearon_refund_total"
RECOVERED: Final = "wearon_recovered_total"
SETTLEMENT_REFUSED: Final = "wearon_settlement_refused_total"
DEAD_LETTERS: Final = "wearon_dead_letters_total"
EXECUTOR_RESTARTS: Final = "wearon_executor_restarts_total"
UNFORESEEN_ERRORS: Final = "wearon_unforeseen_errors_total"
MODEL_GONE: Final = "wearon_model_gone_total"
BACKLOG: Final = "wearon_backlog"
OLDEST_WAITING_SECONDS: Final = "wearon_oldest_waiting_seconds"
TASKS_IN_FLIGHT: Final = "wearon_tasks_in_flight"
SIZE_REQUESTS: Final = "wearon_size_requests_total"
SIZE_SECONDS: Final = "wearon_size_duration_seconds"
SIZE_CONFIDENCE: Final = "wearon_size_confidence"
COMPONENT_UP: Final = "wearon_component_up"
STARTING: Final = "wearon_starting"
DRAINING: Final = "wearon_draining"
PROVIDER_PAUSED: Final = "wearon_provider_paused"
MODELS_LEFT: Final = "wearon_openai_models_left"
MODEL_SHUTDOWN: Final = "wearon_openai_model_shutdown_timestamp_seconds"
LEDGER_FAULTS: Final = "wearon_ledger_faults"
LEDGER_AUDIT: Final = "wearon_ledger_audit_last_success_timestamp_seconds"
MEMORY: Final = "wearon_memory_bytes"
MEMORY_LIMIT: Final = "wearon_memory_limit_bytes"
BUILD_INFO: Final = "wearon_build_info"
HTTP_REQUESTS: Final = "http_requests_total"
HTTP_SECONDS: Final = "http_request_duration_seconds"

BACKUP: Final = "wearon_backup_last_success_timestamp_seconds"
RENEWAL: Final = "wearon_certificate_renewal_last_success_timestamp_seconds"
CERTIFICATE_EXPIRY: Final = "wearon_certificate_expiry_timestamp_seconds"

WHATSAPP_CONFIGURED: Final = "wearon_whatsapp_configured"
WHATSAPP_MESSAGES: Final = "wearon_whatsapp_messages_total"
WHATSAPP_REQUESTS: Final = "wearon_whatsapp_requests_total"
WHATSAPP_QUEUE: Final = "wearon_whatsapp_queue_messages"
WHATSAPP_OLDEST_SECONDS: Final = "wearon_whatsapp_oldest_message_seconds"
WHATSAPP_LAST_ACCEPTED: Final = "wearon_whatsapp_last_accepted_timestamp_seconds"
WHATSAPP_WEBHOOKS: Final = "wearon_whatsapp_webhooks_total"

CELERY_RECEIVED: Final = "celery_task_received_total"
CELERY_SUCCEEDED: Final = "celery_task_succeeded_total"
CELERY_FAILED: Final = "celery_task_failed_total"
CELERY_RETRIED: Final = "celery_task_retried_total"
CELERY_RUNTIME: Final = "celery_task_runtime"
CELERY_WORKER_UP: Final = "celery_worker_up"
CELERY_ACTIVE: Final = "celery_worker_tasks_active"
CELERY_QUEUE_LENGTH: Final = "celery_queue_length"

TARGET_UP: Final = "up"
CPU_SECONDS: Final = "node_cpu_seconds_total"
MEMORY_AVAILABLE: Final = "node_memory_MemAvailable_bytes"
MEMORY_TOTAL: Final = "node_memory_MemTotal_bytes"
DISK_AVAILABLE: Final = "node_filesystem_avail_bytes"
REDIS_UP: Final = "redis_up"
REDIS_MEMORY: Final = "redis_memory_used_bytes"
NGINX_CONNECTIONS: Final = "nginx_connections_active"
NGINX_REQUESTS: Final = "nginx_http_requests_total"
PROBE_SUCCESS: Final = "probe_success"
PROBE_SECONDS: Final = "probe_duration_seconds"
PROBE_CERTIFICATE_EXPIRY: Final = "probe_ssl_earliest_cert_expiry"
GRAFANA_ALERTS: Final = "grafana_alerting_alerts"

WORKER: Final[Mapping[str, tuple[str, ...]]] = {
    GENERATIONS: ("channel", "outcome", "reason"),
    GENERATION_SECONDS: ("channel",),
    STAGE_SECONDS: ("stage",),
    PROVIDER_REQUESTS: ("model", "code"),
    TOKENS: ("model", "kind"),
    COST_DOLLARS: ("channel", "model"),
    RATE_WINDOW: (),
    RATE_WINDOW_LIMIT: (),
    REFUNDS: ("kind",),
    RECOVERED: ("action",),
    SETTLEMENT_REFUSED: (),
    DEAD_LETTERS: ("reason",),
    EXECUTOR_RESTARTS: ("reason",),
    UNFORESEEN_ERRORS: ("where",),
    MODEL_GONE: ("model",),
    BACKLOG: (),
    OLDEST_WAITING_SECONDS: (),
    TASKS_IN_FLIGHT: (),
    SIZE_REQUESTS: ("outcome",),
    SIZE_SECONDS: (),
    SIZE_CONFIDENCE: (),
    COMPONENT_UP: ("component",),
    STARTING: (),
    DRAINING: (),
    PROVIDER_PAUSED: ("reason",),
    MODELS_LEFT: (),
    MODEL_SHUTDOWN: ("model",),
    LEDGER_FAULTS: (),
    LEDGER_AUDIT: (),
    MEMORY: (),
    MEMORY_LIMIT: (),
    BUILD_INFO: ("version", "commit"),
    HTTP_REQUESTS: ("handler", "method", "status"),
    HTTP_SECONDS: ("handler", "method"),
}
"""Metrics of the job ``worker``, each with the labels of its own."""

OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
    BACKUP: (),
    RENEWAL: (),
    CERTIFICATE_EXPIRY: (),
    WHATSAPP_CONFIGURED: (),
    WHATSAPP_MESSAGES: ("outcome",),
    WHATSAPP_REQUESTS: ("result",),
    WHATSAPP_QUEUE: (),
    WHATSAPP_OLDEST_SECONDS: (),
    WHATSAPP_LAST_ACCEPTED: (),
    WHATSAPP_WEBHOOKS: ("result",),
    CELERY_RECEIVED: ("name", "hostname", "queue_name"),
    CELERY_SUCCEEDED: ("name", "hostname", "queue_name"),
    CELERY_FAILED: ("name", "hostname", "queue_name", "exception"),
    CELERY_RETRIED: ("name", "hostname", "queue_name"),
    CELERY_RUNTIME: ("name", "hostname", "queue_name"),
    CELERY_WORKER_UP: ("hostname",),
    CELERY_ACTIVE: ("hostname",),
    CELERY_QUEUE_LENGTH: ("queue_name",),
    TARGET_UP: (),
    CPU_SECONDS: ("cpu", "mode"),
    MEMORY_AVAILABLE: (),
    MEMORY_TOTAL: (),
    DISK_AVAILABLE: ("device", "fstype", "mountpoint"),
    REDIS_UP: (),
    REDIS_MEMORY: (),
    NGINX_CONNECTIONS: (),
    NGINX_REQUESTS: (),
    PROBE_SUCCESS: (),
    PROBE_SECONDS: (),
    PROBE_CERTIFICATE_EXPIRY: (),
    GRAFANA_ALERTS: ("state",),
}
"""Metrics of every other job: the host's files, the WhatsApp bridge, exporters, Prometheus and Grafana."""

KNOWN: Final[Mapping[str, tuple[str, ...]]] = {**WORKER, **OTHERS}

TARGET_LABELS: Final = frozenset({"job", "instance"})
"""What Prometheus adds to every series."""

HISTOGRAM_SUFFIXES: Final = ("_bucket", "_count", "_sum")


def family(series_name: str) -> str:
    """The metric that a series belongs to: of a histogram's three series, the histogram."""
    for suffix in HISTOGRAM_SUFFIXES:
        if series_name.endswith(suffix):
            return series_name.removesuffix(suffix)
    return series_name

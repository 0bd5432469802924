"""[pure] The metrics that a rule may ask for, each with the Prometheus job that it comes from."""

from collections.abc import Mapping
from typing import Final

OF_EVERY_TARGET: Final = "*"
"""Made by Prometheus itself for each target."""

KNOWN_METRICS: Final[Mapping[str, str]] = {
    "up": OF_EVERY_TARGET,
    "wearon_generation_total": "worker",
    "wearon_backlog": "worker",
    "wearon_dead_letters_total": "worker",
    "wearon_component_up": "worker",
    "wearon_draining": "worker",
    "wearon_provider_paused": "worker",
    "wearon_openai_models_left": "worker",
    "wearon_openai_model_shutdown_timestamp_seconds": "worker",
    "wearon_memory_bytes": "worker",
    "wearon_memory_limit_bytes": "worker",
    "wearon_ledger_faults": "worker",
    "wearon_ledger_audit_last_success_timestamp_seconds": "worker",
    "wearon_refund_total": "worker",
    "wearon_settlement_refused_total": "worker",
    "celery_queue_length": "celery-exporter",
    "wearon_backup_last_success_timestamp_seconds": "node-exporter",
    "wearon_certificate_renewal_last_success_timestamp_seconds": "node-exporter",
    "node_cpu_seconds_total": "node-exporter",
    "node_filesystem_avail_bytes": "node-exporter",
    "node_memory_MemAvailable_bytes": "node-exporter",
    "node_memory_MemTotal_bytes": "node-exporter",
    "probe_success": "site",
    "probe_ssl_earliest_cert_expiry": "site",
    "wearon_whatsapp_configured": "grafana-whatsapp-webhook",
    "wearon_whatsapp_messages_total": "grafana-whatsapp-webhook",
    "wearon_whatsapp_requests_total": "grafana-whatsapp-webhook",
    "wearon_whatsapp_webhooks_total": "grafana-whatsapp-webhook",
    "wearon_whatsapp_oldest_message_seconds": "grafana-whatsapp-webhook",
    "loki_distributor_lines_received_total": "loki",
    "loki_discarded_samples_total": "loki",
    "loki_write_dropped_entries_total": "alloy",
}
"""A name that is spelled wrong brings no series, which an alert cannot tell from health: so it is looked up here, and
docs/metrics.md is compared with what the worker and the bridge export."""

"""[pure] The shipped Prometheus configuration with addresses of this machine in the place of the services' names."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

SERVICE_DISCOVERY: Final = ("static_configs", "dns_sd_configs")
"""What the shipped file uses to find targets."""


def on_loopback(
    shipped: Mapping[str, Any],
    targets: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Mapping[str, Sequence[str]]],
) -> tuple[dict[str, Any], list[str]]:
    """The configuration for a Prometheus on this machine, and the jobs that nobody here answers for.

    Everything but the addresses stays: intervals, timeouts, paths, relabelling.

    Args:
        shipped: of ``monitoring/prometheus/prometheus.yml``, parsed.
        targets: addresses for each job by its name; a job without any is left out.
        parameters: of a job's requests, where they name an address, too.
    """
    configuration = deepcopy(dict(shipped))
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    for name, job in jobs.items():
        for way in SERVICE_DISCOVERY:
            job.pop(way, None)
        job["static_configs"] = [{"targets": list(targets.get(name, ()))}]
        for parameter, values in parameters.get(name, {}).items():
            job["params"][parameter] = list(values)
    configuration["scrape_configs"] = [job for name, job in jobs.items() if targets.get(name)]
    return configuration, [name for name in jobs if not targets.get(name)]

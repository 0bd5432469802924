"""[pure] Business: are the shop's promises kept, what does it cost, where do credits go."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import units

from monitoring.dashboards import limits
from monitoring.dashboards import metric_names as names
from monitoring.dashboards.frame import channel, frame, instance, with_rows
from monitoring.dashboards.links import document, logs_of, runbook
from monitoring.dashboards.panels import (
    HALF,
    NO_LIMIT,
    SIXTH,
    Metrics,
    Panel,
    Question,
    at_least,
    at_most,
    graph,
    stat,
)
from monitoring.dashboards.promql import (
    CHANNEL,
    DAY,
    RANGE,
    happened,
    highest,
    increase,
    lowest,
    of_workers,
    per_minute,
    percent,
    percentile,
    rate,
    seconds_since,
    total,
)

UID: Final = "wearon-business"

COSTS: Final = document("What a picture costs", "costs.md")
CREDITS: Final = document("How credits stay right", "reliability.md")
SIZES: Final = document("How a size comes about", "size-recommendation.md")
NO_WORKER: Final = "no worker answers Prometheus"
NONE_ENDED: Final = "no generation ended in this time"

GIVEN_BACK: Final = 'kind=~"user_credit|store_credit|shopper_credit"'
"""The kinds of refund that put a credit back."""

PICTURE_MADE: Final = 'code="ok"'
ANSWERED: Final = 'outcome="answered"'
NOT_ANSWERED: Final = 'outcome!="answered"'

SETTLED: Final = of_workers(names.GENERATIONS, CHANNEL)
COMPLETED: Final = of_workers(names.GENERATIONS, 'outcome="completed"', CHANNEL)
FAILED: Final = of_workers(names.GENERATIONS, 'outcome="failed"', CHANNEL)
DURATIONS: Final = of_workers(f"{names.GENERATION_SECONDS}_bucket", CHANNEL)
DOLLARS: Final = of_workers(names.COST_DOLLARS, CHANNEL)


def build() -> builders.Dashboard:
    """The dashboard."""
    dashboard_builder = frame(
        uid=UID,
        title="WearOn: business",
        description="Are the shop's promises kept, what does it cost, where do credits go?",
        since="now-7d",
    )
    dashboard_builder.with_variable(channel()).with_variable(instance())
    return with_rows(
        dashboard_builder,
        ("Are the promises kept?", PROMISES_PANELS),
        ("Where do credits go?", CREDITS_PANELS),
        ("What does it cost?", COSTS_PANELS),
        ("Do people use sizes?", SIZES_PANELS),
    )


PROMISES_PANELS: Final[tuple[Panel, ...]] = (
    stat(
        Question(
            title="How many of 100 generations succeed?",
            unit=units.Percent,
            description="Completed of all that ended in the time shown. The promise is 95.",
            empty=NONE_ENDED,
            thresholds=at_least(limits.SUCCESS_PERCENT, 100 - limits.FAILURE_ALERT_PERCENT),
            links=(logs_of("worker", "warning"), CREDITS, runbook("error-rate")),
            decimals=1,
        ),
        Metrics(percent(total(increase(COMPLETED, RANGE)), total(increase(SETTLED, RANGE))), "succeeded"),
    ),
    stat(
        Question(
            title="How long do 95 of 100 wait?",
            unit=units.Seconds,
            description="From the platform's request to the picture, in the time shown. NFR-1.1 promises 45 s.",
            empty="no generation was completed in this time",
            thresholds=at_most(limits.GENERATION_SECONDS),
            links=(logs_of("worker"), CREDITS),
            decimals=1,
        ),
        Metrics(percentile(limits.HIGH_PERCENTILE, increase(DURATIONS, RANGE)), "P95"),
    ),
    stat(
        Question(
            title="How long do half of them wait?",
            unit=units.Seconds,
            description="The median: what a person normally sees, from the request to the picture.",
            empty="no generation was completed in this time",
            thresholds=at_most(limits.GENERATION_SECONDS),
            links=(logs_of("worker"), CREDITS),
            decimals=1,
        ),
        Metrics(percentile(limits.MEDIAN, increase(DURATIONS, RANGE)), "P50"),
    ),
    stat(
        Question(
            title="How long do 95 of 100 wait for a size?",
            unit=units.Seconds,
            description="From the request to the size, in the time shown. NFR-1.2 promises 3 s.",
            empty="no size was asked for in this time",
            thresholds=at_most(limits.SIZE_SECONDS),
            links=(logs_of("worker"), SIZES),
            decimals=2,
        ),
        Metrics(percentile(limits.HIGH_PERCENTILE, increase(of_workers(f"{names.SIZE_SECONDS}_bucket"), RANGE)), "P95"),
    ),
    graph(
        Question(
            title="How many pictures does each channel get a day?",
            unit=units.Short,
            description="Completed generations of the 24 hours before each moment.",
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), CREDITS),
        ),
        Metrics(
            total(increase(COMPLETED, DAY), "channel"),
            "{{channel}}",
        ),
    ),
    graph(
        Question(
            title="Is the success rate of each day at 95?",
            unit=units.Percent,
            description="Completed of all that ended in the 24 hours before each moment, by channel.",
            empty=NONE_ENDED,
            thresholds=at_least(limits.SUCCESS_PERCENT, 100 - limits.FAILURE_ALERT_PERCENT),
            links=(logs_of("worker", "warning"), CREDITS),
        ),
        Metrics(
            percent(
                total(increase(COMPLETED, DAY), "channel"),
                total(increase(SETTLED, DAY), "channel"),
            ),
            "{{channel}}",
        ),
    ),
    graph(
        Question(
            title="Is the waiting time of each day below 45 s?",
            unit=units.Seconds,
            description="Of the 24 hours before each moment, by channel.",
            empty="no generation was completed in this time",
            thresholds=at_most(limits.GENERATION_SECONDS),
            links=(logs_of("worker"), CREDITS),
        ),
        Metrics(
            percentile(limits.HIGH_PERCENTILE, increase(DURATIONS, DAY), "channel"),
            "{{channel}} P95",
        ),
    ),
)


CREDITS_PANELS: Final[tuple[Panel, ...]] = (
    stat(
        Question(
            title="How many generations stayed charged?",
            unit=units.Short,
            description="Completed generations in the time shown: each keeps its credit.",
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), CREDITS),
            decimals=0,
        ),
        Metrics(total(increase(COMPLETED, RANGE)), "charged"),
    ),
    stat(
        Question(
            title="How many credits were given back?",
            unit=units.Short,
            description="Credits of users, stores and shoppers put back for failed generations in the time shown.",
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker", "warning"), CREDITS),
            decimals=0,
        ),
        Metrics(total(increase(of_workers(names.REFUNDS, GIVEN_BACK), RANGE)), "given back"),
    ),
    stat(
        Question(
            title="How many overages to reverse?",
            unit=units.Short,
            description=(
                "Failed generations of a store beyond its plan, in the time shown: the invoice is outside, so a"
                " person must reverse them. `wearon audit` lists them."
            ),
            empty=NO_WORKER,
            thresholds=at_most(limits.ANY),
            links=(logs_of("worker", "warning"), CREDITS),
            decimals=0,
        ),
        Metrics(total(increase(of_workers(names.REFUNDS, 'kind="store_overage"'), RANGE)), "overages"),
    ),
    stat(
        Question(
            title="How many charges could nobody prove?",
            unit=units.Short,
            description=(
                "Failed generations whose charge was not found in the time shown: nothing was given back. Compare"
                " with the platform's records; `wearon audit` lists them."
            ),
            empty=NO_WORKER,
            thresholds=at_most(limits.ANY),
            links=(logs_of("worker", "warning"), CREDITS, runbook("unproven-charges")),
            decimals=0,
        ),
        Metrics(total(increase(of_workers(names.REFUNDS, 'kind="unproven_charge"'), RANGE)), "unproven"),
    ),
    graph(
        Question(
            title="Where do credits go?",
            unit=units.Short,
            description=(
                "By kind: whose credit was given back, overages, charges that were nothing or unproven, and refunds"
                " that were done before."
            ),
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker", "warning"), CREDITS),
        ),
        Metrics(total(increase(of_workers(names.REFUNDS)), "kind"), "{{kind}}"),
        stacked=True,
        bars=True,
    ),
    graph(
        Question(
            title="Why were credits given back?",
            unit=units.Short,
            description=(
                "Failed generations by reason, in each 24 hours. The shopper's photos and the provider's refusals"
                " are no fault of ours; quota, key, storage and deadline are."
            ),
            empty="no generation failed in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker", "warning"), CREDITS, runbook("error-rate")),
        ),
        Metrics(happened(total(increase(FAILED, DAY), "reason")), "{{reason}}"),
    ),
    stat(
        Question(
            title="Are the credits right?",
            unit=units.Short,
            description=(
                "Findings of the last audit: sessions where deducted is not completed plus refunded (NFR-2.4). Not"
                " 0: run `wearon audit`, which names them."
            ),
            empty="no audit has ended yet",
            thresholds=at_most(1),
            links=(logs_of("worker", "error"), CREDITS, runbook("ledger-faults")),
        ),
        Metrics(highest(of_workers(names.LEDGER_FAULTS)), "findings"),
        width=SIXTH,
    ),
    stat(
        Question(
            title="How old is that check?",
            unit=units.Seconds,
            description="Age of the last audit; the worker asks for one every hour.",
            empty="no audit has ended yet",
            thresholds=at_most(limits.AUDIT_SECONDS),
            links=(logs_of("worker", "error"), CREDITS, runbook("ledger-audit-silent")),
        ),
        Metrics(lowest(seconds_since(of_workers(names.LEDGER_AUDIT))), "audit"),
        width=SIXTH,
    ),
)


COSTS_PANELS: Final[tuple[Panel, ...]] = (
    stat(
        Question(
            title="What did the pictures cost?",
            unit=units.Dollars,
            description=(
                "In the time shown. An estimate from the tokens that the provider billed and its public prices; it"
                " errs upwards. The provider's invoice decides."
            ),
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), COSTS),
            decimals=2,
        ),
        Metrics(total(increase(DOLLARS, RANGE)), "dollars"),
        width=HALF,
    ),
    stat(
        Question(
            title="What does one picture cost?",
            unit=units.Dollars,
            description=(
                "Dollars of all requests by completed generation, in the time shown. Requests that failed are paid"
                " too. An estimate that errs upwards."
            ),
            empty="no generation was completed in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), COSTS),
            decimals=4,
        ),
        Metrics(f"{total(increase(DOLLARS, RANGE))} / ({total(increase(COMPLETED, RANGE))} > 0)", "a picture"),
        width=HALF,
    ),
    graph(
        Question(
            title="What does each model cost a day?",
            unit=units.Dollars,
            description="Dollars of the 24 hours before each moment, by model. An estimate that errs upwards.",
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), COSTS),
            decimals=2,
        ),
        Metrics(total(increase(DOLLARS, DAY), "model"), "{{model}}"),
    ),
    graph(
        Question(
            title="What does one request to each model cost?",
            unit=units.Dollars,
            description=(
                "Dollars by request that gave a picture, of the 24 hours before each moment. It changes with"
                " quality, size and the number of photos. Both channels together, since requests are counted so."
            ),
            empty="no picture was made in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), COSTS),
            decimals=4,
        ),
        Metrics(
            f"{total(increase(of_workers(names.COST_DOLLARS), DAY), 'model')}"
            f" / ({total(increase(of_workers(names.PROVIDER_REQUESTS, PICTURE_MADE), DAY), 'model')} > 0)",
            "{{model}}",
        ),
    ),
    graph(
        Question(
            title="Which tokens are paid?",
            unit=units.Short,
            description=(
                "Tokens per minute by kind, as billed. image_out is the picture and the most of the cost; image_in"
                " grows with the photos that are sent."
            ),
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), COSTS),
        ),
        Metrics(per_minute(total(rate(of_workers(names.TOKENS)), "kind")), "{{kind}}"),
    ),
)


SIZES_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="How many people get a size a day?",
            unit=units.Short,
            description="Requests of the 24 hours before each moment: answered with a size, and refused.",
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), SIZES),
        ),
        Metrics(total(increase(of_workers(names.SIZE_REQUESTS, ANSWERED), DAY)), "answered"),
        Metrics(total(increase(of_workers(names.SIZE_REQUESTS, NOT_ANSWERED), DAY)), "refused"),
        width=HALF,
    ),
    graph(
        Question(
            title="Why do people get no size?",
            unit=units.Short,
            description="Refused requests of the 24 hours before each moment, by reason.",
            empty="nobody was refused in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), SIZES),
        ),
        Metrics(
            happened(total(increase(of_workers(names.SIZE_REQUESTS, NOT_ANSWERED), DAY), "outcome")), "{{outcome}}"
        ),
        width=HALF,
    ),
)

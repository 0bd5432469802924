"""[pure] Rules, states and messages together, without a clock and without a network."""

from collections.abc import Mapping
from datetime import datetime

from proofs.observability.messages import Alert, expand
from proofs.observability.notifying import Notifier
from proofs.observability.provisioned import Provisioned, ProvisionedRule
from proofs.observability.states import FIRING, Answer, Instance, Instances, next_states


class Alerting:
    """What Grafana remembers between two evaluations.

    Args:
        provisioned: the files.
        extra_labels: put on every alert, as a second host's would be told apart.
    """

    def __init__(self, provisioned: Provisioned, extra_labels: Mapping[str, str] | None = None) -> None:
        self.provisioned = provisioned
        self.notifier = Notifier(provisioned)
        self._extra = dict(extra_labels or {})
        self._states: dict[str, Instances] = {}

    def evaluated(self, rule: ProvisionedRule, answer: Answer, now: datetime) -> None:
        """Enter what a rule's question brought."""
        after = next_states(rule, self._states.get(rule.uid, {}), answer, now)
        self._states[rule.uid] = after
        for instance in after.values():
            if instance.state in FIRING or instance.resolved is not None:
                self.notifier.put(self._alert(rule, instance), now)

    def states(self, uid: str) -> Instances:
        """The states of a rule's series."""
        return self._states.get(uid, {})

    def _alert(self, rule: ProvisionedRule, instance: Instance) -> Alert:
        series = dict(instance.labels)
        labels = {"alertname": rule.title, "grafana_folder": rule.folder, **rule.labels, **series, **self._extra}
        labels = {name: expand(value, series, instance.value) for name, value in labels.items() if value}
        return Alert(
            labels=labels,
            annotations={
                name: expand(text, {**rule.labels, **series}, instance.value) for name, text in rule.annotations.items()
            },
            value=instance.value,
            starts=instance.since,
            ends=instance.resolved,
        )

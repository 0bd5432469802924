"""The evaluator of ours: it does with the provisioned files what Grafana documents that it does (ADR 0132).

It is not Grafana. It proves that our rules, our policy and our bridge work together, up to the message.
"""

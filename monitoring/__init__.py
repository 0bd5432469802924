"""Production's monitoring: what builds the dashboards and alert rules, and the bridge that sends alerts to WhatsApp."""

# The release's other files as an image of their own, with the worker's tag: NAME-bundle:TAG (docs/adr/0118). Nothing runs
# in it; scripts/deploy.sh --with-bundle takes the files out.
FROM scratch
COPY docker-compose.prod.yml versions.env CHANGELOG.md /
COPY compose /compose
COPY nginx /nginx
COPY monitoring/alloy /monitoring/alloy
COPY monitoring/blackbox /monitoring/blackbox
COPY monitoring/docker-socket /monitoring/docker-socket
COPY monitoring/grafana /monitoring/grafana
COPY monitoring/loki /monitoring/loki
COPY monitoring/prometheus /monitoring/prometheus
COPY redis /redis
COPY scripts /scripts
COPY supabase/migrations /supabase/migrations

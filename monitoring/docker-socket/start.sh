#!/bin/sh
# Process 1 of the docker-socket container. A socket's file outlives a killed nginx, which would then not start again.
set -eu

rm -f "${DOCKER_API_SOCKET:-/run/docker-api/docker.sock}" # tests name another
exec "${NGINX_BINARY:-nginx}" -e stderr -c "${DOCKER_SOCKET_CONF:-/etc/wearon/docker-socket/nginx.conf}" -g 'daemon off;'

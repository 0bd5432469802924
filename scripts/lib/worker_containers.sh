# shellcheck shell=bash
# Containers and how they are, above all the worker's. Two of those run during a deploy; only their ids tell them apart.

readonly RESTARTS_TOLERATED=2 # a worker that ended three times does not come up by itself
readonly SHOWN_LOG_LINES=40   # of a worker that is not well: its last messages, on one screen

short() { printf '%s' "${1:0:12}"; }

# name_of ID: with the service's name, which tells a person more.
name_of() {
  local service
  service=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' "$1" 2>/dev/null) || service=container
  printf '%s %s' "$service" "$(short "$1")"
}

# container_state ID: "STATUS HEALTH RESTARTS", for example "running healthy 0"; "gone none 0" if there is none.
container_state() {
  docker inspect --format '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.RestartCount}}' \
    "$1" 2>/dev/null || echo "gone none 0"
}

is_running() { [[ $(container_state "$1") == @(running|restarting)\ * ]]; }

is_healthy() { [[ $(container_state "$1") == "running healthy "* ]]; }

# is_decided ID: it is healthy, or it will not become so.
is_decided() {
  local status health restarts
  read -r status health restarts < <(container_state "$1")
  [[ $health == @(healthy|unhealthy) || $status == @(exited|dead|gone) ]] || ((restarts > RESTARTS_TOLERATED))
}

# identity_of_tag TAG: "HASH IMAGE" that a container has which runs what TAG names now, with the settings of now.
identity_of_tag() {
  local hash image
  hash=$(compose_with_tag "$1" config --hash "$WORKER_SERVICE")
  image=$(docker image inspect --format '{{.Id}}' "$(worker_image "$1")" 2>/dev/null) || image=none
  printf '%s %s' "${hash##* }" "$image"
}

identity_of() { docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}} {{.Image}}' "$1"; }

# show_why_unwell ID [LINES]: state, the last health checks, the last lines of its log.
show_why_unwell() {
  warn "$(name_of "$1") is: $(container_state "$1") (state, health, restarts)"
  docker inspect --format '{{if .State.Health}}{{range .State.Health.Log}}health check: {{.ExitCode}} {{.Output}}{{end}}{{end}}' "$1" >&2 || true
  docker logs --tail "${2:-$SHOWN_LOG_LINES}" "$1" >&2 || true
}

# retire ID: lets it finish what it does, within its own stop_grace_period, and removes it.
retire() {
  if is_running "$1"; then
    run_and_report "$(short "$1") finishes its tasks (at most $STOP_WITHIN_SECONDS s)" _stop_quietly "$1"
  fi
  remove_container "$1"
}

remove_container() { docker rm "$1" >/dev/null; }

_stop_quietly() { docker stop "$1" >/dev/null; }

# shellcheck shell=bash
# Docker Compose in $WEARON_HOME. Settings come from the files there and not from the caller's shell, where a
# REDIS_PASSWORD exported by chance would win over .env.

# What the docker command itself needs from the environment.
readonly DOCKER_VARIABLES=(
  PATH HOME TERM LANG DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_CERT_PATH DOCKER_TLS_VERIFY DOCKER_API_VERSION
  HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy
)

# compose ARGUMENT...: `docker compose -f docker-compose.prod.yml ARGUMENT...` with the tag in force.
compose() { _compose_with "" "$@"; }

# compose_with_tag TAG ARGUMENT...: the same with another worker tag, which no file knows.
compose_with_tag() { _compose_with "WORKER_TAG=$1" "${@:2}"; }

_compose_with() {
  local name environment=()
  for name in "${DOCKER_VARIABLES[@]}"; do
    if [[ -n ${!name+set} ]]; then environment+=("$name=${!name}"); fi
  done
  if [[ -n $1 ]]; then environment+=("$1"); fi
  (cd "$WEARON_HOME" && exec env -i "${environment[@]}" docker compose -f "$COMPOSE_FILE_NAME" "${@:2}")
}

# need_bundle: dies unless $WEARON_HOME is a place where Compose can be run.
need_bundle() {
  local file
  for file in "$WEARON_HOME/$COMPOSE_FILE_NAME" "$VERSIONS_FILE"; do
    [[ -r $file ]] || die "$file is not there or not readable. Are you root? Run first-deploy.sh first, or set WEARON_HOME."
  done
  [[ -r $ENV_FILE ]] ||
    die "$ENV_FILE is not there or not readable. Are you root? If this host ran before, bring it back: restore.sh ARCHIVE (\`ls $BACKUP_DIRECTORY\`). On a new host run first-deploy.sh, which asks for every setting."
  [[ -r $RELEASE_FILE ]] ||
    die "$RELEASE_FILE is not there or not readable, so no worker is in force. Are you root? If this host ran before, write WORKER_TAG=TAG to it; the last line of $HISTORY_FILE names the tag. On a new host run first-deploy.sh."
  check_env_file "$ENV_FILE"
}

# containers_of SERVICE: ids of its containers, running or not, one a line, oldest last as `docker ps` has them.
containers_of() {
  docker ps --all --quiet --no-trunc \
    --filter "label=com.docker.compose.project=$PROJECT" \
    --filter "label=com.docker.compose.service=$1" \
    --filter "label=com.docker.compose.oneoff=False"
}

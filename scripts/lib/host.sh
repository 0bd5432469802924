# shellcheck shell=bash
# What can be wrong with a host before anything is installed. Each check only looks, and names what it expected and found.

readonly SUPPORTED_SYSTEMS="debian 12, debian 13, ubuntu 24.04, ubuntu 26.04" # Docker's own packages exist for these
readonly LEAST_DISK_MIB=14336      # what every part may grow to, and 2 GB at which the alert comes (docs/notes/0128)
readonly MOST_CLOCK_ERROR_SECONDS=60 # signed addresses, TLS and ACME bear a minute
readonly PUBLIC_NAME_TO_RESOLVE=acme-v02.api.letsencrypt.org # a container must resolve it (moby 29.1.0 could not)
readonly OS_RELEASE_FILE="${WEARON_OS_RELEASE:-/etc/os-release}"
readonly MEMORY_FILE="${WEARON_MEMINFO:-/proc/meminfo}"

check_root() {
  [[ ${WEARON_EUID:-$EUID} == 0 ]] || die "This needs root: it installs Docker and writes $WEARON_HOME. Run it with sudo."
}

check_system() {
  local system
  system="$(_os_release ID) $(_os_release VERSION_ID)"
  [[ ", $SUPPORTED_SYSTEMS, " == *", $system, "* ]] || die "This host is $system. Supported are $SUPPORTED_SYSTEMS."
  good "system: $system"
}

_os_release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$OS_RELEASE_FILE"; }

check_disk() {
  local directory=$WEARON_HOME free
  while [[ ! -d $directory ]]; do directory=$(dirname "$directory"); done
  free=$(df --output=avail --block-size=1M "$directory" | tail -n 1 | tr -d ' ')
  if docker_is_there && [[ -n $(docker image ls --quiet "$(worker_image)" 2>/dev/null) ]]; then
    good "disk: $free MiB free, and the images are here"
    return 0
  fi
  ((free >= LEAST_DISK_MIB)) || die "$directory has $free MiB free, and $LEAST_DISK_MIB are needed. Take a larger disk."
  good "disk: $free MiB free"
}

# memory_needed_mib DIRECTORY: the limits of all services together, the worker's twice (a deploy runs two). Read from the
# files, because Docker may not be here yet; a test compares it with what Compose itself says.
memory_needed_mib() {
  awk '
    /^  [a-z0-9-]+:/ { service = $1; sub(/:.*/, "", service) }
    match($0, /memory: *"?[0-9]+[MmGg]/) {
      limit = substr($0, RSTART, RLENGTH); sub(/^memory: *"?/, "", limit)
      mib = (limit + 0) * (limit ~ /[Gg]$/ ? 1024 : 1)
      sum += (service == "worker" ? 2 : 1) * mib
    }
    END { print sum + 0 }' "$1"/compose/*.yml
}

check_memory() { # check_memory BUNDLE
  local needed found
  needed=$(memory_needed_mib "$1")
  found=$(awk '/^MemTotal:/ { print int($2 / 1024) }' "$MEMORY_FILE")
  ((found >= needed)) ||
    die "This host has $found MiB of memory. The limits of all services with two workers are $needed MiB (compose/services.yml). Take a larger host."
  good "memory: $found MiB, limits with two workers $needed MiB"
}

check_ports() {
  local port holder
  for port in 80 443; do
    holder=$(ss -H -ltnp "sport = :$port")
    if [[ -z $holder ]] || ports_are_ours "$port"; then continue; fi
    die "Port $port is taken: $holder. Stop that program; nginx of this stack needs 80 and 443."
  done
  good "ports 80 and 443: free, or ours"
}

ports_are_ours() {
  docker_is_there && [[ -n $(docker ps --quiet --filter "label=com.docker.compose.project=$PROJECT" --filter "publish=$1") ]]
}

# By the Date of the certificate authority's answer, which shows at once that HTTPS goes out. Its certificate is not
# checked here: with a wrong clock that would fail first, and say something else.
check_clock() {
  local answered error
  answered=$(curl --silent --insecure --head --max-time 20 "$ACME_SERVER" | tr -d '\r' | awk 'tolower($1) == "date:" { sub(/^[^ ]* /, ""); print }') ||
    die "No answer from $ACME_SERVER. Is HTTPS to the outside open, and does DNS work on this host?"
  [[ -n $answered ]] || die "$ACME_SERVER gave no time. Is something between this host and the internet answering for it?"
  error=$(($(date +%s) - $(date -d "$answered" +%s)))
  ((error <= MOST_CLOCK_ERROR_SECONDS && error >= -MOST_CLOCK_ERROR_SECONDS)) ||
    die "The clock is $error s off. Set it: timedatectl set-ntp true"
  good "clock: right"
}

# ensure_tools: what the scripts themselves need, from the system's own packages.
ensure_tools() {
  local pair packages=()
  for pair in curl:curl dig:bind9-dnsutils openssl:openssl ss:iproute2 flock:util-linux crontab:cron; do
    if ! command -v "${pair%%:*}" >/dev/null; then packages+=("${pair##*:}"); fi
  done
  if ((${#packages[@]} == 0)); then
    good "tools: all there"
    return 0
  fi
  act "install ${packages[*]}" install_packages "${packages[@]}"
}

install_packages() {
  local -x DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install --yes "$@"; } ||
    die "apt-get could not install $*; its words are above. Mend that and run this again."
}

# check_addresses DOMAIN [IPV4]: A and AAAA both lead here. The authority prefers AAAA: a forgotten one is the usual
# reason why no certificate comes. IPV4 is the public address of a host behind NAT, which it does not know itself.
check_addresses() {
  local own record kind found=no
  own=$(ip -o address show scope global | awk '{ sub(/\/.*/, "", $4); print $4 }')
  for kind in A AAAA; do
    for record in $(dig +short "$1" "$kind" | grep -E '^[0-9a-fA-F.:]+$' || true); do
      found=yes
      if grep -Fxq -- "$record" <<<"$own" || [[ $record == "${2:-}" ]]; then continue; fi
      die "$1 has the $kind record $record, which is not this host ($(tr '\n' ' ' <<<"$own")). Correct or remove that record; behind NAT say --address $record."
    done
  done
  [[ $found == yes ]] || die "$1 has neither an A nor an AAAA record. Create one that leads to this host; it may take minutes to be seen."
  good "DNS: $1 leads here"
}

docker_is_there() { command -v docker >/dev/null && docker version >/dev/null 2>&1; }

compose_is_there() { docker_is_there && docker compose version >/dev/null 2>&1; }

readonly DOCKER_KEY_FILE="${WEARON_APT_DIRECTORY:-/etc/apt}/keyrings/docker.asc"
readonly DOCKER_SOURCE_FILE="${WEARON_APT_DIRECTORY:-/etc/apt}/sources.list.d/docker.list"
readonly DOCKER_KEY_FINGERPRINT=9DC858229FC7DD38854AE2D88D81803C0EBFCD88 # docs.docker.com/engine/install/debian

ensure_docker() {
  if compose_is_there; then
    say_docker_versions
    return 0
  fi
  act "install Docker from Docker's own repository" install_docker
  if [[ $DRY_RUN == yes ]]; then return 0; fi
  if compose_is_there; then
    say_docker_versions
    return 0
  fi
  die "Docker is installed but does not answer. See \`systemctl status docker\` and \`journalctl -u docker\`."
}

# With the API's versions: a client that is too old for the engine, or too new, fails with nothing but these two numbers
# (grafana/alloy #5610: "client version 1.43 is too old").
say_docker_versions() {
  good "Docker $(docker version --format '{{.Server.Version}}'), Compose $(docker compose version --short)"
  good "Docker's API: $(docker version --format '{{.Server.APIVersion}} down to {{.Server.MinAPIVersion}}; this client speaks {{.Client.APIVersion}}')"
}

install_docker() {
  local id codename architecture
  id=$(_os_release ID)
  codename=$(_os_release VERSION_CODENAME)
  architecture=$(dpkg --print-architecture)
  install_packages ca-certificates curl gnupg
  mkdir -p "$(dirname "$DOCKER_KEY_FILE")" "$(dirname "$DOCKER_SOURCE_FILE")"
  write_by_rename "$DOCKER_KEY_FILE" 0644 \
    curl --fail --silent --show-error --location "https://download.docker.com/linux/$id/gpg"
  gpg --show-keys --with-colons "$DOCKER_KEY_FILE" | grep -q "^fpr:.*:$DOCKER_KEY_FINGERPRINT:" ||
    die "The key that download.docker.com gave is not Docker's ($DOCKER_KEY_FINGERPRINT). Nothing was installed. Is something between this host and the internet?"
  write_by_rename "$DOCKER_SOURCE_FILE" 0644 printf 'deb [arch=%s signed-by=%s] https://download.docker.com/linux/%s %s stable\n' \
    "$architecture" "$DOCKER_KEY_FILE" "$id" "$codename"
  install_packages docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin
}

# Docker's own resolver reaches the world.
check_dns_in_container() {
  if [[ $DRY_RUN == yes ]]; then return 0; fi
  compose run --rm --no-deps -T --entrypoint python "$CERTBOT_SERVICE" \
    -c 'import socket, sys; socket.getaddrinfo(sys.argv[1], 443)' "$PUBLIC_NAME_TO_RESOLVE" >/dev/null ||
    die "A container cannot resolve $PUBLIC_NAME_TO_RESOLVE. See \`docker info\` and /etc/resolv.conf; Docker 29.1.0 had this fault, update it."
  good "DNS inside a container: works"
}

# --- The operator's command -----------------------------------------------------------------------------------------

readonly OPERATORS_COMMAND_MARK="# Written by first-deploy.sh and deploy.sh"

# ensure_operators_command: `wearon` on the host is `wearon` in the worker's container. Nothing that serves needs it, so
# what is wrong with it stops nobody.
ensure_operators_command() {
  if [[ -x $OPERATORS_COMMAND && $(<"$OPERATORS_COMMAND") == "$(_operators_command)" ]]; then return 0; fi
  if [[ -e $OPERATORS_COMMAND ]] && ! grep -Fq "$OPERATORS_COMMAND_MARK" "$OPERATORS_COMMAND"; then
    warn "$OPERATORS_COMMAND is somebody else's and stays as it is"
    return 0
  fi
  (act "write $OPERATORS_COMMAND" write_by_rename "$OPERATORS_COMMAND" 0755 _operators_command) ||
    warn "\`wearon\` is not on this host; everything else goes on. Meanwhile: docker compose exec worker wearon"
}

# Compose gives a terminal when it writes to one, and then refuses a standard input that is none.
_operators_command() {
  cat <<COMMAND
#!/bin/sh
$OPERATORS_COMMAND_MARK: the operator's command line, in the worker that runs (docs/operating.md).
cd '$WEARON_HOME' || exit
if [ -t 0 ] && [ -t 1 ]; then
  exec docker compose exec worker wearon "\$@"
fi
exec docker compose exec -T worker wearon "\$@"
COMMAND
}

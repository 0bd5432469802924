# shellcheck shell=bash
# The settings that first-deploy writes to .env: asked for, taken from the environment, or made here.

readonly PASSWORD_LENGTH=32 # of 64 letters, digits, _ and -: 192 bits

# What has no default and only the operator knows. "secret" is never shown while it is typed.
readonly REQUIRED_SETTINGS=(
  "CERTBOT_EMAIL plain where Let's Encrypt writes when a certificate is about to expire"
  "SUPABASE_URL plain address of the Supabase project, https://....supabase.co"
  "SUPABASE_SERVICE_ROLE_KEY secret its service role key"
  "OPENAI_API_KEY secret API key of OpenAI"
)

# Taken over only if the environment has them.
readonly OPTIONAL_SETTINGS=(
  REDIS_URL CELERY_BROKER_URL WORKER_IMAGE WHATSAPP_ACCESS_TOKEN WHATSAPP_PHONE_NUMBER_ID WHATSAPP_RECIPIENTS
  WHATSAPP_TEMPLATE_NAME WHATSAPP_TEMPLATE_LANGUAGE GF_SMTP_ENABLED GF_SMTP_HOST GF_SMTP_USER GF_SMTP_PASSWORD
  GF_SMTP_FROM_ADDRESS ALERT_EMAIL_TO DEADMAN_URL DOCKER_SOCKET OPENAI_BASE_URL OPENAI_IMAGE_MODELS
  OPENAI_REQUESTS_PER_MINUTE OPENAI_INPUT_IMAGES_PER_MINUTE OPENAI_IMAGE_QUALITY OPENAI_IMAGE_COMPLEXITY
  WORKER_CONCURRENCY LOG_LEVEL
)

# Only letters, digits, _ and -: they need no quoting in an address, a file or a shell.
make_password() {
  local password=""
  while ((${#password} < PASSWORD_LENGTH)); do
    password+=$(head -c 64 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9_-')
  done
  printf '%s' "${password:0:PASSWORD_LENGTH}"
}

has_setting() { [[ -r $ENV_FILE ]] && read_env_value "$ENV_FILE" "$1" >/dev/null; }

# What may not stay as it stands in .env.example: what a person has to fill in, and the secrets that are made here.
readonly NEVER_A_PLACEHOLDER=(
  SUPABASE_URL SUPABASE_SERVICE_ROLE_KEY OPENAI_API_KEY CERTBOT_EMAIL REDIS_PASSWORD GF_SECURITY_ADMIN_PASSWORD
  WHATSAPP_WEBHOOK_SECRET REDIS_URL CELERY_BROKER_URL
)

# check_no_placeholders: dies if one of them does. .env.example is for development: with its words Grafana would be on the
# internet with a password that everybody can read. Names every such key, and never a value.
check_no_placeholders() {
  local key value found=""
  for key in "${NEVER_A_PLACEHOLDER[@]}"; do
    value=$(read_env_value "$ENV_FILE" "$key") || continue
    case "$value" in
      "" | change-me | your-* | *@example.com | redis://localhost*) found+="${found:+, }$key" ;;
    esac
  done
  [[ -z $found ]] ||
    die "In $ENV_FILE these are empty or still as in .env.example, which is for development: $found. Write the right value, or remove the line and run first-deploy.sh, which asks for it or makes it. (A password of Grafana that has run already is changed in Grafana, too.)"
}

# keep_setting KEY VALUE: from here on it is in .env; one that is there stays.
keep_setting() {
  if has_setting "$1"; then return 0; fi
  act "write $1 to $ENV_FILE" write_env_value "$ENV_FILE" "$1" "$2"
}

# ask_for KEY KIND WHAT: from the environment, else from the person, who must be there.
ask_for() {
  local value="${!1:-}" fault
  if has_setting "$1"; then return 0; fi
  while [[ -z $value ]]; do
    if [[ $DRY_RUN == yes ]]; then
      say "would ask for $1: $3"
      return 0
    fi
    [[ -t 0 || -n ${WEARON_ANSWERS_FROM_STDIN:-} ]] || die "$1 is missing ($3), and nobody is here to ask. Put it into the environment or into $ENV_FILE."
    printf '%s\n%s: ' "$3" "$1" >&2
    if [[ $2 == secret ]]; then
      IFS= read -rs value || die "No answer for $1."
      echo >&2
    else
      IFS= read -r value || die "No answer for $1."
    fi
    fault=$(env_value_fault "$value")
    if [[ -n $fault ]]; then
      warn "$1 $fault"
      value=""
    fi
  done
  keep_setting "$1" "$value"
}

# make_own_settings: what parts of the stack need between themselves and no person chooses. Also at an update: the release
# that is taken may have a part that the host's .env knows nothing of yet.
make_own_settings() {
  keep_setting GF_SECURITY_ADMIN_PASSWORD "$(make_password)"
  keep_setting WHATSAPP_WEBHOOK_SECRET "$(make_password)"
}

# write_settings DOMAIN: everything that is missing. DOMAIN comes first, because Compose reads no file without it.
write_settings() {
  local entry key kind what redis
  if [[ -e $ENV_FILE ]]; then
    check_env_file "$ENV_FILE"
    check_no_placeholders
  fi
  if has_setting DOMAIN && [[ $(read_env_value "$ENV_FILE" DOMAIN) != "$1" ]]; then
    die "$ENV_FILE has another DOMAIN than $1. Run this with that one, or change the file by hand first."
  fi
  for entry in "${REQUIRED_SETTINGS[@]}"; do
    read -r key kind what <<<"$entry"
    ask_for "$key" "$kind" "$what"
  done
  for key in "${OPTIONAL_SETTINGS[@]}"; do
    if [[ -n ${!key:-} ]]; then keep_setting "$key" "${!key}"; fi
  done
  make_own_settings
  keep_setting REDIS_PASSWORD "$(make_password)"
  redis="redis://default:$(setting REDIS_PASSWORD)@$REDIS_SERVICE:6379/0"
  keep_setting REDIS_URL "$redis"
  keep_setting CELERY_BROKER_URL "$redis"
  keep_setting DOMAIN "$1"
  if [[ $DRY_RUN == yes ]]; then return 0; fi
  chmod 0600 "$ENV_FILE"
  check_env_file "$ENV_FILE"
  good "settings: complete in $ENV_FILE (0600)"
}

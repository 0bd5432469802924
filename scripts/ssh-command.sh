#!/usr/bin/env bash
# What the deploy key may do on this host: `deploy TAG`, and nothing else (ADR 0118). In ~/.ssh/authorized_keys of root:
#   restrict,command="/opt/wearon/scripts/ssh-command.sh" ssh-ed25519 AAAA... deploy
# What the other side asked for comes in SSH_ORIGINAL_COMMAND. It is compared, never run, and stdin is not read.
set -Eeuo pipefail
# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

LC_ALL=C
[[ ${SSH_ORIGINAL_COMMAND:-} =~ ^deploy\ ([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$ ]] ||
  die "This key may say only: deploy TAG"
tag=${BASH_REMATCH[1]}
[[ $tag != rollback ]] || die "This key may say only: deploy TAG. A rollback is done on the host: scripts/deploy.sh rollback"
here=$(dirname "${BASH_SOURCE[0]}")
# A host whose first deploy never came to its end has no cron file. A person has laid out the release's files and .env.
if [[ ! -e $CRON_FILE ]]; then
  has_setting DOMAIN ||
    die "Nothing runs here yet, and $ENV_FILE has no DOMAIN. Write it and the settings without a default there (docs/operations.md), or run first-deploy.sh by hand."
  first_tag=$(tag_in_force)
  "$here/first-deploy.sh" --tag "${first_tag:-$tag}" "$(read_env_value "$ENV_FILE" DOMAIN)" </dev/null
fi
exec "$here/deploy.sh" --with-bundle "$tag" </dev/null

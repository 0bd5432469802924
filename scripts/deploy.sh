#!/usr/bin/env bash
# Replaces the worker without losing a request or a task (ADR-6, story 6.2, ADR 0117). `deploy.sh --help` explains it.
set -Eeuo pipefail
# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

usage() {
  cat <<'HELP'
deploy.sh [--dry-run] [--with-bundle] [--replace] [TAG | rollback]

Starts a worker of TAG beside the one that runs, waits until it is healthy, writes TAG to release.env, lets the old one
finish its tasks, and removes it. If the new one does not get well, its log is shown, it is removed, and the old one
never noticed. Last, everything else is brought up; a monitor that is not well is named, and the deploy has succeeded.
Killed at any moment and run again, it goes on where it was; a plain `docker compose up -d` in between does no harm.

  TAG            of the worker's image. Without it the tag in force: use that after a change of .env.
  rollback       the tag that was in force before. Database migrations are not undone; old workers know the new schema.
  --with-bundle  first takes the release's other files (compose, nginx, scripts) from the image NAME-bundle:TAG. With
                 rollback: those of the tag before. Without it a rollback changes the worker alone.
  --replace      a new worker also where the one that runs is what is wanted: it takes up too much memory, say.
  --dry-run      says what the release asks of you and what would be done, and changes nothing. To read that it pulls the
                 image NAME-bundle:TAG, which is small.

DATABASE_URL in the environment: supabase/migrations are applied before the new worker starts, unless the database has had
newer ones from here. It is not stored.
WEARON_HOME: the host's directory, /opt/wearon if not set.

  scripts/deploy.sh v1.4.0
  scripts/deploy.sh rollback
HELP
}

wanted_tag="" wanted_identity="" with_bundle=no replace=no to_be_replaced=""

parse_arguments() {
  while (($#)); do
    case "$1" in
      --help | -h) usage && exit 0 ;;
      --dry-run) DRY_RUN=yes ;;
      --with-bundle) with_bundle=yes ;;
      --replace) replace=yes ;;
      -*) wrong_usage "There is no option \"$1\". Nothing was done." ;;
      *)
        [[ -z $wanted_tag ]] || wrong_usage "One tag only, not \"$wanted_tag\" and \"$1\". Nothing was done."
        wanted_tag=$1
        ;;
    esac
    shift
  done
}

choose_tag() {
  if [[ $wanted_tag == rollback ]]; then
    wanted_tag=$(previous_tag)
    [[ -n $wanted_tag ]] || die "$HISTORY_FILE names no tag but the one in force. Say which one: deploy.sh TAG."
  fi
  wanted_tag=${wanted_tag:-$(tag_in_force)}
  [[ -n $wanted_tag ]] || die "No tag is in force yet. Say which one: deploy.sh TAG."
  check_tag "$wanted_tag"
}

# The release's own CHANGELOG.md says it; the one that lies here may be older, and then knows nothing of this release. A tag
# that was in force here asks for nothing again: that was told when it came, and a rollback undoes none of it.
show_changes() {
  local old changelog changes
  old=$(tag_in_force)
  if [[ $old == "$wanted_tag" ]] || grep -Fxq -- "$wanted_tag" <<<"$(deployed_tags)"; then return 0; fi
  if ! changelog=$(changelog_of_release); then
    warn "What $wanted_tag asks of the operator is not known: $(bundle_image):$wanted_tag could not be had. Read the release's CHANGELOG.md"
    return 0
  fi
  changes=$(changes_between "$changelog" "$old" "$wanted_tag")
  if [[ -n $changes ]]; then
    say "What $wanted_tag asks of the operator, after ${old:-nothing} (CHANGELOG.md):"
    say "$changes"
  fi
}

changelog_of_release() {
  if [[ $with_bundle == yes && $DRY_RUN == no ]]; then
    cat "$WEARON_HOME/CHANGELOG.md" # it has just come
  else
    changelog_in_bundle "$wanted_tag"
  fi
}

# The new files are there before the new worker; without one that gets well the old files come back (put_back_bundle).
take_bundle() {
  work_directory bundle
  fetch_bundle "$1" "$WORK_DIRECTORY" || return 1
  install_bundle "$WORK_DIRECTORY"
}

put_back_bundle() {
  local tag
  tag=$(tag_in_force)
  if [[ $with_bundle == no || -z $tag || $tag == "$wanted_tag" ]]; then return 0; fi
  (take_bundle "$tag") || warn "The files of $tag could not be had; those of $wanted_tag stay in $WEARON_HOME"
}

pull() {
  local image
  image=$(worker_image "$wanted_tag")
  if act "pull $image" compose_with_tag "$wanted_tag" pull worker; then return 0; fi
  docker image inspect "$image" >/dev/null 2>&1 ||
    die "$image is neither in the registry nor here. Is the tag right, and does \`docker login\` stand for it? Nothing was changed."
  warn "The registry gave no $image; the one on this host is used"
}

# Without it a deploy goes on: messages wait, and the site does not.
pull_bridge() {
  act "pull $(bridge_image):$wanted_tag" compose_with_tag "$wanted_tag" pull "$BRIDGE_SERVICE" ||
    warn "The registry gave no $(bridge_image):$wanted_tag; without it on this host no alert goes to WhatsApp"
}

# nginx first and by itself: as a part of the whole it would be replaced before Grafana is well, and started after.
bring_up_the_rest() {
  compose up -d --no-deps "$NGINX_SERVICE" && start_whole
}

# What a deploy that was killed, or a crash, left behind: containers that ended, and a third worker. One old worker stays.
clear_leftovers() {
  local id kept=""
  for id in $(containers_of "$WORKER_SERVICE"); do
    if ! is_running "$id"; then act "remove $(short "$id"), which has ended" remove_container "$id"; fi
  done
  for id in $(old_workers); do
    if [[ -z $kept ]]; then
      kept=$id
    elif is_healthy "$id" && ! is_healthy "$kept"; then
      act "let $(short "$kept") go, left by an earlier deploy" retire "$kept"
      kept=$id
    else
      act "let $(short "$id") go, left by an earlier deploy" retire "$id"
    fi
  done
}

old_workers() {
  local id
  for id in $(containers_of "$WORKER_SERVICE"); do
    if [[ $(identity_of "$id") != "$wanted_identity" ]] || is_to_be_replaced "$id"; then echo "$id"; fi
  done
}

is_to_be_replaced() { grep -Fxq -- "$1" <<<"$to_be_replaced"; }

current_worker() {
  local id
  for id in $(containers_of "$WORKER_SERVICE"); do
    if [[ $(identity_of "$id") == "$wanted_identity" ]] && ! is_to_be_replaced "$id" && is_running "$id"; then
      echo "$id"
      return 0
    fi
  done
}

start_beside() {
  local before workers id
  if [[ -n $(current_worker) ]]; then
    good "a worker of $wanted_tag runs"
    return 0
  fi
  before=$(containers_of "$WORKER_SERVICE")
  workers=$(wc -w <<<"$before")
  act "start a worker of $wanted_tag beside $workers that run(s)" \
    compose_with_tag "$wanted_tag" up -d --no-deps --no-recreate --scale "worker=$((workers + 1))" worker
  # What has just been started is what is wanted, whatever Compose and the image store say about it by other ways.
  for id in $(containers_of "$WORKER_SERVICE"); do
    if ! grep -Fxq -- "$id" <<<"$before"; then wanted_identity=$(identity_of "$id"); fi
  done
}

wait_until_healthy() {
  local id
  id=$(current_worker)
  if [[ $DRY_RUN == yes ]]; then
    say "would wait until it is healthy, at most $HEALTHY_WITHIN_SECONDS s"
    return 0
  fi
  [[ -n $id ]] || die "The new worker is not there any more. Look at \`docker ps -a\` and run this again."
  wait_until "$HEALTHY_WITHIN_SECONDS" "$(short "$id") to be healthy" is_decided "$id" || true
  if is_healthy "$id"; then
    good "$(short "$id") of $wanted_tag is healthy"
    return 0
  fi
  show_why_unwell "$id"
  if [[ -n $(old_workers) ]]; then
    retire "$id"
    put_back_bundle
    die "The worker of $wanted_tag did not get well and is removed. $(tag_in_force) goes on as before. Its last words are above."
  fi
  die "The worker of $wanted_tag is not well, and there is no other: it stays. Its last words are above. Mend the cause, or deploy another tag."
}

let_old_go() {
  local id
  for id in $(old_workers); do
    act "let $(short "$id") finish and go" retire "$id"
  done
}

main() {
  parse_arguments "$@"
  step look
  need_bundle
  check_no_placeholders
  take_lock
  choose_tag
  say "Deploying $wanted_tag (in force: $(tag_in_force | grep . || echo nothing))"

  step bundle
  if [[ $with_bundle == yes ]]; then
    if [[ $DRY_RUN == yes ]]; then
      say "would take the files of $(bundle_image):$wanted_tag"
    else
      take_bundle "$wanted_tag" || die "$(bundle_image):$wanted_tag is neither in the registry nor here. Nothing was changed."
    fi
  fi
  show_changes
  make_own_settings

  step pull
  pull
  pull_bridge
  step migrate
  if [[ -n ${DATABASE_URL:-} ]]; then apply_migrations; fi
  step leftovers
  wanted_identity=$(identity_of_tag "$wanted_tag")
  if [[ $replace == yes ]]; then to_be_replaced=$(containers_of "$WORKER_SERVICE"); fi
  clear_leftovers
  step start
  start_beside
  step healthy
  wait_until_healthy
  step in-force
  act "put $wanted_tag in force" put_in_force "$wanted_tag"
  act "note it in $HISTORY_FILE" record_deploy "$wanted_tag"
  step old
  let_old_go
  step one
  act "see to it that one worker runs" compose up -d --no-deps --scale worker=1 worker
  step prune
  prune_images
  step command
  ensure_operators_command
  step whole
  act "see to it that everything runs" bring_up_the_rest ||
    die "$wanted_tag is in force, and not all of ${SERVING_SERVICES[*]} is well; its words are above. Mend the cause and run this again."
  end_of_step
  if [[ $DRY_RUN == yes ]]; then
    say "would end with $wanted_tag in force; nothing was changed"
  else
    good "$wanted_tag is in force"
  fi
}

main "$@"

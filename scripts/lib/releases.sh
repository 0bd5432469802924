# shellcheck shell=bash
# Which worker is in force: one line in release.env (ADR 0117). Which ones were: deploys.log, oldest first.

# worker_image [TAG]: the repository, or the whole name of an image.
worker_image() {
  local repository
  repository=$(setting WORKER_IMAGE)
  [[ -n $repository ]] || die "WORKER_IMAGE is neither in $ENV_FILE nor in $VERSIONS_FILE. Copy the bundle again."
  printf '%s' "$repository${1:+:$1}"
}

# bridge_image: of the bridge to WhatsApp, built from the same commit, so with the same tags.
bridge_image() { printf "%s-whatsapp-bridge" "$(worker_image)"; }

# check_tag TAG: what a registry takes for a tag, and what needs no quoting anywhere.
check_tag() {
  local LC_ALL=C
  [[ $1 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
    die "\"$1\" is no image tag. A tag has letters, digits, _ . and -, such as v1.4.0."
}

tag_in_force() {
  if [[ -r $RELEASE_FILE ]]; then read_env_value "$RELEASE_FILE" WORKER_TAG || true; fi
}

# put_in_force TAG: from here on a plain `docker compose up -d` by anybody starts this one.
put_in_force() {
  if [[ $(tag_in_force) == "$1" ]]; then return 0; fi
  write_by_rename "$RELEASE_FILE" 0644 printf 'WORKER_TAG=%s\n' "$1"
}

# record_deploy TAG: one line with time, tag and what exactly that was: the digest if it came from a registry, else the id.
record_deploy() {
  local digest last
  digest=$(docker image inspect --format '{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}' "$(worker_image "$1")")
  digest=${digest##*@}
  last=$(if [[ -r $HISTORY_FILE ]]; then tail -n 1 "$HISTORY_FILE"; fi)
  if [[ ${last#* } == "$1 $digest" ]]; then return 0; fi
  write_by_rename "$HISTORY_FILE" 0644 _history_with "$1 $digest"
}

_history_with() {
  { [[ ! -e $HISTORY_FILE ]] || cat "$HISTORY_FILE"; } &&
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1"
}

# deployed_tags: every tag that was in force once, the latest first.
deployed_tags() {
  if [[ -r $HISTORY_FILE ]]; then tac "$HISTORY_FILE" | awk '!seen[$2]++ { print $2 }'; fi
}

# previous_tag: the one before the tag in force. A second rollback therefore goes forward again.
previous_tag() {
  deployed_tags | grep -Fxv -- "$(tag_in_force)" | head -n 1 || true
}

# changes_between TEXT OLD NEW: what an operator has to know when OLD is replaced by NEW. TEXT, a CHANGELOG.md, has a heading
# "## TAG" or "## TAG (date)" per release, newest first, and "## Unreleased" above them. A tag without a heading was
# built between two releases: as NEW it means the top, as OLD the end of the first section.
changes_between() {
  local headings start="" end="" number=0 heading
  mapfile -t headings < <(awk '/^## / { print $2 }' <<<"$1")
  for heading in "${headings[@]}"; do
    number=$((number + 1))
    if [[ $heading == "$3" && -z $start ]]; then start=$number; fi
    if [[ $heading == "$2" && -z $end ]]; then end=$number; fi
  done
  start=${start:-1}
  end=${end:-$((start + 1))}
  awk -v start="$start" -v end="$end" '/^## / { section++ } section >= start && section < end' <<<"$1"
}

# prune_images: removes images of the worker, the bridge and the bundle but the one in force and those of the last tags. Never a volume, never by force:
# an image that a container still uses stays. One whose tag went to a newer build is known by its id only.
prune_images() {
  local kept tag id name repository
  for repository in "$(worker_image)" "$(bridge_image)" "$(bundle_image)"; do
    kept="$(tag_in_force)"$'\n'"$(deployed_tags | head -n "$KEPT_WORKER_TAGS")"
    while read -r tag id; do
      if [[ -z $tag ]] || grep -Fxq -- "$tag" <<<"$kept"; then continue; fi
      if [[ $tag == "<none>" ]]; then name=$id; else name="$repository:$tag"; fi
      act "remove the image $name" _remove_image "$name" || warn "$name stays; something still uses it"
    done < <(docker image ls --format '{{.Tag}} {{.ID}}' "$repository")
  done
}

_remove_image() { docker image rm "$1" >/dev/null; }

# shellcheck shell=bash
# The bundle: what a release brings beside the worker's image (compose files, nginx, redis, scripts, migrations). It
# comes from a working copy (first-deploy) or from an image of its own with the same tag (ADR 0118).

bundle_image() { printf "%s-bundle" "$(worker_image)"; }

# install_bundle DIRECTORY: each file that differs is put in place by rename, so that containers which mount the
# directories, and a script that is just running, never read half of one. Files that a release no longer has are removed.
install_bundle() {
  local source="$1" part file target
  for part in "${BUNDLE_PARTS[@]}"; do
    [[ -e $source/$part ]] || die "$source/$part is not there; this is no complete bundle. Get the whole of it."
  done
  while IFS= read -r -d '' file; do
    target="$WEARON_HOME/$file"
    if cmp -s "$source/$file" "$target"; then continue; fi
    act "put $file in place" _install_file "$source/$file" "$target" || _die_half_way
  done < <(_bundle_files "$source")
  while IFS= read -r -d '' file; do
    if [[ -e $source/$file ]]; then continue; fi
    act "remove $file, which this release does not have" rm -f "$WEARON_HOME/$file" || _die_half_way
  done < <(_bundle_files "$WEARON_HOME")
  if [[ $(readlink "$WEARON_HOME/$PLAIN_COMPOSE_NAME") != "$COMPOSE_FILE_NAME" ]]; then
    act "let \`docker compose\` find the stack without -f" ln -sfn "$COMPOSE_FILE_NAME" "$WEARON_HOME/$PLAIN_COMPOSE_NAME"
  fi
  if [[ $DRY_RUN == no ]]; then sync --file-system "$WEARON_HOME"; fi
}

# Said here, since bash's -e is off wherever a caller asks how it went.
_die_half_way() {
  die "Not every file of the release could be put into $WEARON_HOME. Is the disk full (df -h $WEARON_HOME)? What runs goes on; run this again, or go back to the tag before."
}

# _bundle_files DIRECTORY: relative names, each ended by NUL. Scripts come last, so that they find what they need.
_bundle_files() {
  (
    cd "$1" || exit
    local part parts=()
    for part in "${BUNDLE_PARTS[@]}"; do
      if [[ -e $part ]]; then parts+=("$part"); fi
    done
    if ((${#parts[@]} > 0)); then find "${parts[@]}" -type f ! -name '.*' ! -name '*.pyc' -print0; fi
  )
}

# One sync for all of them comes at the end: there are fifty.
_install_file() {
  local mode=0644 temporary="${2%/*}/.${2##*/}.new"
  if [[ -x $1 ]]; then mode=0755; fi
  { [[ -d ${2%/*} ]] || (umask 022 && mkdir -p "${2%/*}"); } &&
    install -m "$mode" "$1" "$temporary" && mv -fT "$temporary" "$2"
}

# fetch_bundle TAG DIRECTORY: the files out of the bundle's image. The container is never started. Status 1: no such image.
fetch_bundle() {
  local image container copied=yes
  image="$(bundle_image):$1"
  docker pull --quiet "$image" >/dev/null || docker image inspect "$image" >/dev/null 2>&1 || return 1
  container=$(docker create "$image" none) || die "Docker made no container of $image; its words are above. No file was changed."
  docker cp "$container:/." "$2" || copied=no
  docker rm "$container" >/dev/null || warn "The container $container stays: docker rm $container"
  [[ $copied == yes ]] || die "The files of $image could not be copied. Is the disk full (df -h $WEARON_HOME)? No file was changed."
}

# changelog_in_bundle TAG: prints the release's CHANGELOG.md. No file of the host changes. Status 1: it cannot be had.
changelog_in_bundle() {
  local image container read=yes
  image="$(bundle_image):$1"
  docker pull --quiet "$image" >/dev/null 2>&1 || docker image inspect "$image" >/dev/null 2>&1 || return 1
  container=$(docker create "$image" none 2>/dev/null) || return 1
  docker cp "$container:/CHANGELOG.md" - 2>/dev/null | tar -xOf - 2>/dev/null || read=no
  docker rm "$container" >/dev/null || warn "The container $container stays: docker rm $container"
  [[ $read == yes ]]
}

# shellcheck shell=bash
# The whole project: what serves has to be well, what watches it should be (docs/adr/0125).

readonly SHOWN_LOG_LINES_OF_A_MONITOR=8 # its last words; there may be several of them on one screen

# start_whole: starts everything and waits until it is well. Status 0 if what serves is; a monitor that is not is named
# with its last words, and nothing waits for it: alerts may be missing, and the site is not.
start_whole() {
  if compose up -d --wait; then return 0; fi
  warn "Not everything got well at once; now what serves by itself: ${SERVING_SERVICES[*]}"
  compose up -d --no-deps --wait "${SERVING_SERVICES[@]}" || return 1
  show_ill_monitors
}

# Status 0 whatever it finds.
show_ill_monitors() {
  local service id ill=""
  while IFS= read -r service; do
    if [[ " ${SERVING_SERVICES[*]} " == *" $service "* ]]; then continue; fi
    id=$(containers_of "$service" | head -n 1)
    if [[ -n $id && $(container_state "$id") == @(running healthy|running none)\ * ]]; then continue; fi
    ill+="${ill:+, }$service"
    if [[ -z $id ]]; then
      warn "$service has no container: could its image not be had?"
    else
      show_why_unwell "$id" "$SHOWN_LOG_LINES_OF_A_MONITOR"
    fi
  done < <(compose config --services)
  if [[ -n $ill ]]; then
    warn "The site is served. The monitoring is not whole, so alerts may be missing: $ill. Mend the cause, then: docker compose up -d --wait"
  else
    warn "The site is served, and every monitor runs, perhaps an older one: Compose's words above say what it could not do (an image?). Then: docker compose up -d --wait"
  fi
}

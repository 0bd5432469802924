# shellcheck shell=bash
# The shared parts of the scripts, in the order in which they need each other:
#   source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
_library=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib/names.sh
source "$_library/names.sh"
# shellcheck source=scripts/lib/messages.sh
source "$_library/messages.sh"
# shellcheck source=scripts/lib/files.sh
source "$_library/files.sh"
# shellcheck source=scripts/lib/env_file.sh
source "$_library/env_file.sh"
# shellcheck source=scripts/lib/compose.sh
source "$_library/compose.sh"
# shellcheck source=scripts/lib/waiting.sh
source "$_library/waiting.sh"
# shellcheck source=scripts/lib/releases.sh
source "$_library/releases.sh"
# shellcheck source=scripts/lib/bundle.sh
source "$_library/bundle.sh"
# shellcheck source=scripts/lib/migrations.sh
source "$_library/migrations.sh"
# shellcheck source=scripts/lib/worker_containers.sh
source "$_library/worker_containers.sh"
# shellcheck source=scripts/lib/host.sh
source "$_library/host.sh"
# shellcheck source=scripts/lib/settings.sh
source "$_library/settings.sh"
# shellcheck source=scripts/lib/certificates.sh
source "$_library/certificates.sh"
# shellcheck source=scripts/lib/whole.sh
source "$_library/whole.sh"

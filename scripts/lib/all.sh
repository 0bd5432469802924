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

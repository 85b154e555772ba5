#!/usr/bin/env bash
# The table in docs/floors.md must equal the program's output.
#   floors_page_test.sh UNROLL
set -euo pipefail
page=$(dirname "${BASH_SOURCE[0]}")/../../docs/floors.md
printed=$("$1" bench floor | sed -n '/^shape /,$p')
kept=$(awk '/^shape / { inside = 1 } /^```/ { inside = 0 } inside' "$page")
diff <(echo "$kept") <(echo "$printed") ||
  { echo "docs/floors.md: its table differs from 'unroll bench floor'"; exit 1; }

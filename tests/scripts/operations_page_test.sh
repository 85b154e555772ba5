#!/usr/bin/env bash
# docs/operations.md must equal what its program prints.
#   operations_page_test.sh PROGRAM
set -euo pipefail
sources=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
diff "$sources/docs/operations.md" <("$1" "$sources") ||
  { echo "docs/operations.md differs from what 'operations_page .' prints"; exit 1; }

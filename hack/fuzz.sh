#!/usr/bin/env bash
# Fuzzes every target for FUZZTIME (default 1m), one after the other, and stops at the first that fails. A failing input is kept below
# the package's testdata/fuzz, where `go test` tries it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-1m}
git grep -l '^func Fuzz' -- '*_test.go' | while read -r file; do
  for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$file"); do
    echo "fuzz: $target in $(dirname "$file"), $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 50x "./$(dirname "$file")"
  done
done

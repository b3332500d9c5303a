#!/usr/bin/env bash
# Generates everything anew in a copy of the tree and compares: a generated file that was edited, or not generated again, fails.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r api charts config controllers pop3server go.mod go.sum Makefile hack "$copy"/
make --no-print-directory -C "$copy" -s generate BIN="$root/bin" >"$copy/generate.log" 2>&1 || { cat "$copy/generate.log" >&2; exit 1; }
failed=0
for path in api charts/popservice/files config/crd config/rbac; do
  diff -ru "$path" "$copy/$path" || failed=1
done
if [ "$failed" -ne 0 ]; then
  echo "generated files differ from their sources: run 'make generate' and commit the result" >&2
  exit 1
fi
echo "generated files are up to date"

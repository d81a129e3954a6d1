#!/usr/bin/env bash
# Looks up every package of the lock files in a database of known vulnerabilities (OSV: https://osv.dev).
#   container/audit.sh [OPTIONS OF pip-audit]
# Exits with 0 if none is known, 1 if some are, and 2 if the database cannot be asked.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A build such as torch's +cpu has the vulnerabilities of its release.
cat container/*.lock | sed -n 's/^\([A-Za-z0-9._-]*==[^ +]*\).*/\1/p' | sort -u >"$scratch/packages.txt"
code=0
.venv/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --vulnerability-service osv \
    --requirement "$scratch/packages.txt" "$@" >"$scratch/found" 2>"$scratch/said" || code=$?
cat "$scratch/found"
if [ "$code" -eq 0 ]; then
    echo "audit.sh: none of $(wc -l <"$scratch/packages.txt") packages has a known vulnerability"
elif [ -s "$scratch/found" ]; then
    exit 1
else
    echo "audit.sh: error: nothing was checked: $(tail -n 1 "$scratch/said"); try again where api.osv.dev can be reached" >&2
    exit 2
fi

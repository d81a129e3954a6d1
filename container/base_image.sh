#!/usr/bin/env bash
# Makes a stand-in for python:3.11-slim-bookworm from Debian's packages, for a machine that can pull from no registry.
#   container/base_image.sh [TAG]        needs root, Debian's mmdebstrap and a running Docker engine
set -euo pipefail
tag=${1:-python:3.11-slim-bookworm}
docker=$("$(dirname "$0")/docker_client.sh")

if ! command -v mmdebstrap >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends mmdebstrap
fi

# Unpacked in memory where there is room, which takes a third of the time. As in the official image, `python` and `pip`
# are commands, and pip may install anywhere.
free=$(df --output=avail /dev/shm 2>/dev/null | tail -1 || echo 0)
if [ "$free" -gt 1000000 ]; then export TMPDIR=/dev/shm; fi
tree=$(mktemp)
trap 'rm -f "$tree"' EXIT
# shellcheck disable=SC2016  # mmdebstrap gives each hook the tree's path as $1
mmdebstrap --quiet --mode=root --variant=minbase --format=tar \
    --include=ca-certificates,python3,python3-pip,python3-venv \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
    --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
    --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python3"' \
    --customize-hook='ln -s /usr/bin/pip3 "$1/usr/local/bin/pip"' \
    bookworm "$tree"
"$docker" import --change 'CMD ["python3"]' "$tree" "$tag"

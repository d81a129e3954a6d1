#!/usr/bin/env bash
# Prints the first `docker` command here that can build with BuildKit: some come without the plugin that does.
set -euo pipefail
for docker in $(type -ap docker) /usr/bin/docker; do
    if DOCKER_BUILDKIT=1 "$docker" build --help 2>/dev/null | grep -q -- '--secret'; then
        echo "$docker"
        exit
    fi
done
echo "docker_client.sh: error: no docker command that builds with BuildKit; install Docker, or its buildx plugin" >&2
exit 1

#!/usr/bin/env bash
# A Docker engine of one's own on a bare Debian machine, as root. Everything it has lies in one folder.
#   container/docker_engine.sh start FOLDER   installs it where needed; then: export DOCKER_HOST=unix://FOLDER/docker.sock
#   container/docker_engine.sh stop FOLDER    stops it, and removes the folder with all images and containers
set -euo pipefail
usage="usage: docker_engine.sh start|stop FOLDER"
if [ $# -ne 2 ]; then echo "$usage" >&2; exit 2; fi
folder=$(realpath -m "$2")
export DOCKER_HOST=unix://$folder/docker.sock

start() {
    if ! command -v dockerd >/dev/null || ! command -v iptables >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
            docker.io docker-compose iptables mmdebstrap
    fi
    mkdir -p "$folder"
    setsid dockerd --host "$DOCKER_HOST" --data-root "$folder/data" --exec-root "$folder/run" \
        --pidfile "$folder/dockerd.pid" --storage-driver overlay2 >"$folder/dockerd.log" 2>&1 </dev/null &
    for _ in $(seq 120); do
        if docker version >/dev/null 2>&1; then
            echo "docker_engine.sh: process $(cat "$folder/dockerd.pid"), DOCKER_HOST=$DOCKER_HOST"
            return
        fi
        sleep 0.5
    done
    tail -20 "$folder/dockerd.log" >&2
    echo "docker_engine.sh: error: the engine did not start within a minute; its log is $folder/dockerd.log" >&2
    exit 1
}

stop() {
    pid=$(cat "$folder/dockerd.pid" 2>/dev/null || true)
    if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
        docker ps --quiet | xargs --no-run-if-empty docker kill >/dev/null
        kill "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
    fi
    # The engine leaves mounts behind, its data folder mounted on itself among them.
    awk -v prefix="$folder/" 'index($5, prefix) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs --no-run-if-empty umount
    rm -rf --one-file-system "$folder"
}

case "$1" in
    start) start ;;
    stop) stop ;;
    *) echo "$usage" >&2; exit 2 ;;
esac

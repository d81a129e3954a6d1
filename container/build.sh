#!/usr/bin/env bash
# Builds the image: fetches its wheels with this machine's pip and its settings, then lets Docker install them.
#   container/build.sh [OPTIONS OF docker build]
# Lists what the image contains, Debian's packages and Python's, in build/sbom.cdx.json (CycloneDX) and sbom.spdx.json (SPDX).
# Read from the environment: IMAGE, BASE_IMAGE, TORCH (cpu or cuda), EXTRAS (mlflow or nothing), PYTHON, DOCKER (the command).
set -euo pipefail
cd "$(dirname "$0")/.."
docker=${DOCKER:-$(container/docker_client.sh)}
torch=${TORCH:-cpu} extras=${EXTRAS:-}
if [ -n "$extras" ] && [ "$extras" != mlflow ]; then
    echo "build.sh: error: EXTRAS: must be mlflow or nothing (got $extras)" >&2
    exit 2
fi
links=https://download.pytorch.org/whl/cpu/torch/

# A pip of the build's own: some Pythons come without. It reads this machine's settings all the same.
if [ ! -x build/pip/bin/pip ]; then "${PYTHON:-python3}" -m venv build/pip; fi
pip() { build/pip/bin/pip --disable-pip-version-check "$@"; }
pip install --quiet --require-hashes -r container/sbom.lock

# The image's platform, whatever this machine's is: glibc 2.5 (the oldest that wheels are for) to 2.28 (torch's).
platforms=()
for minor in {28..5}; do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
fetch() {
    pip download --quiet --no-deps --require-hashes --only-binary :all: \
        --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none "${platforms[@]}" \
        --platform manylinux2014_x86_64 --platform manylinux2010_x86_64 --platform manylinux1_x86_64 "$@"
}
# A lock file is fetched once; after it has changed, all anew, so that no wheels of former versions pile up.
for set in "$torch:torch-$torch" common:requirements ${extras:+"$extras:$extras"}; do
    folder=build/wheels/${set%%:*} lock=container/${set#*:}.lock
    if ! cmp -s "$lock" "$folder/fetched.lock"; then
        rm -rf "$folder"
        # torch's CPU build lies in no index: it comes from pip's own find-links setting, or else from PyTorch's site.
        fetch --dest "$folder" -r "$lock" || fetch --dest "$folder" --find-links "$links" -r "$lock"
        cp "$lock" "$folder/fetched.lock"
    fi
done

options=(--build-arg "TORCH=$torch" --build-arg "TORCH_LINKS=/wheels" --build-arg "EXTRAS=$extras")
options+=(--build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)")
options+=(--build-arg "REVISION=$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown)")
if [ -n "${BASE_IMAGE:-}" ]; then options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi
# Where pip needs a certificate of this machine's, it needs it in the build too.
certificate=$(pip config list | sed -n "s/^[a-z:]*\.cert='\(.*\)'$/\1/p" | head -1)
if [ -n "$certificate" ]; then options+=(--network host --secret "id=ca,src=$certificate"); fi

image=${IMAGE:-ahx-transformer:dev}
DOCKER_BUILDKIT=1 "$docker" build --platform linux/amd64 --tag "$image" "${options[@]}" "$@" .
SYFT_CHECK_FOR_APP_UPDATE=false build/pip/bin/syft scan --quiet "docker:$image" \
    --output cyclonedx-json=build/sbom.cdx.json --output spdx-json=build/sbom.spdx.json

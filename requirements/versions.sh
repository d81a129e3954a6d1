#!/usr/bin/env bash
# Tries the oldest and the newest versions of the dependencies that pyproject.toml allows, each in an environment with this
# project's wheel: the demo, predictions, a report, and a training job in the embedded AWS. Of torch only CPU builds are
# taken, which lie on PyTorch's site or where pip's settings find them: where the oldest is missing, the newest there is.
#   requirements/versions.sh FOLDER [PYTHON]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd) python=${2:-python3}
export OMP_NUM_THREADS=1 PIP_DISABLE_PIP_VERSION_CHECK=1

"$python" - "$root/pyproject.toml" >"$folder/lowest.txt" <<'END'
import re, sys, tomllib

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
for one in [*project["dependencies"], *extras["cloud"], *extras["embedded"], *extras["report"]]:
    if (bound := re.match(r"([\w-]+)(?:\[.*\])?>=([\d.]+)", one)) and bound[1] != "torch":
        print(f"{bound[1]}=={bound[2]}")
END
: >"$folder/newest.txt"
torch=$(sed -n 's/^ *"torch>=\([0-9.]*\)".*/\1/p' "$root/pyproject.toml")

# Installing from the working tree would write to it.
rm -rf "$folder/source" "$folder"/*.whl && mkdir "$folder/source"
(cd "$root" && cp -r src entrypoints container infra LICENSE README.md pyproject.toml "$folder/source")
"$python" -m venv --clear "$folder/lowest" "$folder/newest"
"$folder/newest/bin/pip" wheel --quiet --no-deps --wheel-dir "$folder" "$folder/source"

torch() {
    "$folder/$1/bin/pip" install --quiet --no-compile --no-index --no-deps --retries 0 --timeout 20 \
        --find-links https://download.pytorch.org/whl/cpu/torch/ "torch$2"
}

try() {
    rm -rf "$folder/run" && mkdir "$folder/run" && cd "$folder/run"
    export PATH=$folder/$1/bin:$PATH
    echo "$1: $(pip list --format freeze | grep -E "^(torch|numpy|pydantic|safetensors|rich|boto3|moto|matplotlib)==" | tr '\n' ' ')"
    bash "$root/examples/demo.sh"
    grep -v '^#' data/da_val.txt | cut -d , -f 1 | ahx predict runs/demo --data - --json | tail -1
    ahx report runs/demo --num-samples 50 --to report.html
    AHX_IMAGE=none python "$root/examples/one_job.py"
}

for name in lowest newest; do
    if [ $name = newest ] || ! torch $name "~=$torch.0" 2>"$folder/torch.log"; then torch $name ">=$torch"; fi
    (
        pip=$folder/$name/bin/pip wheel=$(echo "$folder"/*.whl)
        "$pip" install --quiet --no-compile --constraint "$folder/$name.txt" "$wheel[embedded,report]"
        try $name
    ) >"$folder/$name.log" 2>&1 &
    wait $! || { # in the background, as bash forgets -e on the left of ||
        tail -60 "$folder/$name.log" >&2
        echo "versions.sh: error: it does not work with the $name versions, see above" >&2
        exit 1
    }
    grep "^$name:" "$folder/$name.log"
done

#!/usr/bin/env bash
# The whole story in the cloud, on a machine with no AWS account. `make demo-cloud` runs this with the project's environment.
set -euo pipefail

# An AWS of one's own: this script runs again inside it. Jobs are containers where Docker has the image, else processes.
if [ -z "${AHX_DEMO:-}" ]; then
    kind=--process
    image=${AHX_IMAGE:-ahx-transformer:dev}
    if docker image inspect "$image" >/dev/null 2>&1; then kind=--image=$image; fi
    mkdir -p runs/demo-cloud && cd runs/demo-cloud
    AHX_DEMO=1 exec ahx aws --port 0 "$kind" --quota ml.m5.large=4 --run "bash $(realpath "$OLDPWD/$0")"
fi
bucket="s3://ahx-123456789012-$AWS_DEFAULT_REGION" # the embedded AWS has one account

# A bucket, a role, a registry, and what watches over them.
ahx infra apply --yes

# Data, straight into the bucket.
ahx gen-data --rule double_a --num-samples 10000 --max-len 12 "$bucket/data/da"

# Twelve configurations as training jobs, four at a time: that is the quota. Then the leaderboard.
ahx sweep --name demo --infile "$bucket/data/da" --num-epochs 1 --max-steps 16 \
    --grid learning_rate=1e-3,3e-3,1e-2 --grid n_layer=1,2 --seeds 2 --max-cost 2

# The best model, from where its job has left it.
best=$(ahx jobs leaderboard demo --json | python -c 'import json, sys; print(json.load(sys.stdin)["jobs"][0]["model"])')
ahx eval --model "$best" --rule double_a --max-len 12 --num-samples 2000

# Nothing is left.
ahx infra destroy --yes --delete-data

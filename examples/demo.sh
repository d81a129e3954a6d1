#!/usr/bin/env bash
# From a rule to a model that applies it exactly: about half a minute on one CPU core. `make demo` runs this.
set -euo pipefail
cd "$(dirname "$0")/.."
run=runs/demo

# The rule writes every A twice and copies everything else.
ahx rules show double_a

# Examples in a file, for looking at; training below draws its own.
ahx gen-data --rule double_a --num-samples 1000 --max-len 10 runs/demo-data
head -n 5 runs/demo-data_train.txt

# Train on fresh inputs of at most 10 symbols, until 10,000 new ones are all rewritten exactly.
ahx train --rule double_a --until-exact 10000 --model-out "$run"

# How exact is it on inputs it has never seen, up to 20 times as long as any in training?
ahx eval --model "$run" --rule double_a --num-samples 10000 --max-len 10
ahx eval --model "$run" --rule double_a --lengths 10,20,50,100,200

# Use it.
echo ABA | ahx interactive --model "$run"

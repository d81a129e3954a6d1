#!/usr/bin/env bash
# The whole story in four commands. `make demo` runs this with the project's environment.
set -euo pipefail

# Data: 10,000 lines such as ABA,AABAA, a tenth of them for validation. No validation line occurs in training.
ahx gen-data --rule double_a --num-samples 10000 --max-len 14 data/da

# A transformer that has never seen the rule. It ends as soon as 10,000 fresh strings all come out right.
ahx train --infile data/da --rule double_a --max-len 14 --until-exact 10000 --eval-interval 0.2 \
    --model-out runs/demo

# 10,000 fresh strings, then strings of 2, 5, 10 and 20 times the longest one that the model has seen.
ahx eval --model runs/demo --max-len 14 --lengths

# By hand: type a string, get the rewritten one.
echo ABBA | ahx interactive --model runs/demo

#!/usr/bin/env bash
# The whole story in three commands: data, training, evaluation. `make demo` runs it with the project's environment.
set -euo pipefail

# 10,000 pairs such as ABA,AABAA, a tenth of them set aside for validation.
ahx gen-data --rule double_a --num-samples 10000 --max-len 10 data/da

# A transformer that has never seen the rule. It stops as soon as 10,000 fresh strings all come out right.
ahx train --rule double_a --until-exact 10000 --model-out runs/demo

# 10,000 fresh strings of the training lengths, then strings up to twenty times as long.
ahx eval --model runs/demo --lengths

# And by hand:
echo ABBA | ahx interactive --model runs/demo

#!/bin/sh
# Draw the pictures of docs/turing.md anew: train each machine to its certificate, and let the network run it.
set -e
cd "$(dirname "$0")/.."
runs=$(mktemp -d)
trap 'rm -r "$runs"' EXIT
for rule in bb4 bb5 rule110; do
    ahx train --rule "$rule" --certify --model-out "$runs/$rule"
done
ahx exec "$runs/bb4" --no-cache --check --picture docs/pictures/bb4.svg
ahx exec "$runs/bb5" --steps 300 --check --picture docs/pictures/bb5.svg
ahx exec "$runs/rule110" --tape 0000000000000000000000000000000000000000000000000000000000000001 --steps 63 --check \
    --picture docs/pictures/rule110.svg
ahx train --rule turing-interpreter --seed 2 --model-out "$runs/ti"
ahx interpret "$runs/ti" --program 'A0:1LH,A1:1RA,A2:0LH,F0:0RA,F1:2LH,F2:1LF,H0:0RF,H1:0LF,' --tape 0H0 --steps 300 \
    --picture docs/pictures/unseen.svg
ahx interpret --machine 3LA2LA1LA0RB_1RE1RA1RB0RB_3LC2LC2LE3LE_0RE2RB1RD0RD_2LC2LF1RF3RE_---2LD1RE1RA --tape \
    13333331111111111111111111111111111111111111111111111111133113333111111111111111111111111111111111111111111111111113311333333333311333333113333A222322222222222222222 \
    --steps 146 --picture docs/pictures/utm64.svg

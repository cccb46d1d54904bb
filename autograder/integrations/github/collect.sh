#!/usr/bin/env bash
# Copies model.onnx and card.yaml of the one team folder that HEAD changes into the new folder
# OUTPUT: collect.sh BASE HEAD OUTPUT. Nothing is checked out. What it gets wrong, stage two finds.
set -euo pipefail
base=$1 head=$2 output=$3

mkdir "$output"
team=$(git diff --name-only "$base...$head" -- entries | awk -F/ 'NF == 3 && !team { team = $2 } END { print team }')
for name in model.onnx card.yaml; do
    if git cat-file -e "$head:entries/$team/$name" 2>/dev/null; then
        git cat-file blob "$head:entries/$team/$name" >"$output/$name"
    fi
done

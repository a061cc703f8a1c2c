#!/usr/bin/env bash
# The whole comparison at nnU-Net's own length and batches: rivals, seeds, 3d_fullres, the ablation, synthetic knees with
# slices of the paper's 384 x 384. Days of one GPU. Interrupted and started again it continues where it was, and several of
# them, with other GPUs, share the folders. Needs an environment with the project and its [test] extra installed.
#
# Usage: [EPOCHS=1000] [ITERATIONS=250] benchmarks/evidence.sh DATASET_FOLDER WORK_FOLDER [GPU...]
#   DATASET_FOLDER  a dataset in nnU-Net's raw layout, DatasetXXX_NAME
#   WORK_FOLDER     everything is written below it; the tables are WORK_FOLDER/*.md
#   GPU             numbers of the GPUs to use (default: 0)
set -euo pipefail
dataset="$(realpath "${1:?usage: evidence.sh DATASET_FOLDER WORK_FOLDER [GPU...]}")"
work="$(realpath -m "${2:?usage: evidence.sh DATASET_FOLDER WORK_FOLDER [GPU...]}")"
gpus=("${@:3}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=0

train() { # networks that could not be trained are named at the end; the tables then hold the others
    python -m benchmarks.compare.runner --work "$work" --results "$work/runs" --device cuda --gpus "${gpus[@]:-0}" \
        --epochs "${EPOCHS:-1000}" --iterations "${ITERATIONS:-250}" "$@" || failed=1
}
costs() {
    python -m benchmarks.speed.costs --work "$work" --out "$work/costs.json" --device cuda "$@" || failed=1
}
compare() { # a preset
    python -m benchmarks.compare.comparison --results "$work/runs" --costs "$work/costs.json" --out "$work/$1" \
        --preset "$1" || failed=1
}

python -m benchmarks.compare.synthetic_knees --out "$work/knees" --knees 40 --shape 384 384 24
knees="$work/knees/Dataset520_PhantomKnees"
train --datasets "$dataset" --preset comparison
train --datasets "$dataset" --networks default eas eas_paper --seeds 1
train --datasets "$dataset" --configurations 3d_fullres --networks default eas eas_paper resenc_m
train --datasets "$dataset" --configurations 3d_fullres --networks default eas eas_paper --seeds 1
train --datasets "$knees" --networks default --seeds 0 1
train --datasets "$knees" --preset synthetic_knees --seeds 0 1
train --datasets "$dataset" --preset ablation --seeds 0 1

costs --datasets "$dataset" --configurations 2d --preset comparison
costs --datasets "$dataset" --configurations 2d --preset ablation
costs --datasets "$dataset" --configurations 3d_fullres --networks default eas eas_paper resenc_m
costs --datasets "$knees" --configurations 2d --networks default eas eas_paper unet_plus_plus attention_unet unet

for preset in comparison synthetic_knees ablation; do
    compare "$preset"
done
exit $failed

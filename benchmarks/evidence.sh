#!/usr/bin/env bash
# The whole evidence of the README's "Accuracy", at nnU-Net's own batches: rivals, seeds, 3d_fullres, the ablation, made
# knees with slices of the paper's 384 x 384. Days of one GPU at nnU-Net's length; stopped and started again it goes on where
# it was, and several of them, with other GPUs, share the folders.
#
# Usage: [EPOCHS=1000] [ITERATIONS=250] benchmarks/evidence.sh DATASET_FOLDER WORK_FOLDER [GPU...]
#   DATASET_FOLDER  a dataset in nnU-Net's raw layout, DatasetXXX_NAME
#   WORK_FOLDER     everything is written below it; the tables are WORK_FOLDER/*.md
#   GPU             numbers of the GPUs to use (default: 0)
set -euo pipefail
dataset=${1:?usage: evidence.sh DATASET_FOLDER WORK_FOLDER [GPU...]}
work=${2:?usage: evidence.sh DATASET_FOLDER WORK_FOLDER [GPU...]}
gpus=("${@:3}")
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
networks=(default eas unet attention_unet segnet deeplabv3plus resenc_m unet_plus_plus default_eas_start)
ablation=(eas_separable_stem eas_full_blocks eas_strided eas_no_module eas_full_dilated eas_paper_rates eas_no_fusion
    eas_other_norm)
order=(eas unet_plus_plus attention_unet unet)

train() { # what could not be trained is named at the end; the tables then hold the rest
    python "$here/runner.py" --work "$work" --results "$work/runs" --device cuda --gpus "${gpus[@]:-0}" \
        --epochs "${EPOCHS:-1000}" --iterations "${ITERATIONS:-250}" "$@" || failed=1
}
compare() { # OUT and more arguments
    python "$here/comparison.py" --results "$work/runs" --costs "$work/costs.json" --out "$work/$1" "${@:2}" || failed=1
}
failed=0

python "$here/phantom_knees.py" --out "$work/knees" --knees 40 --shape 384 384 24
knees="$work/knees/Dataset520_PhantomKnees"
train --datasets "$dataset" --networks "${networks[@]}"
train --datasets "$dataset" --networks default eas --seeds 1
train --datasets "$dataset" --configurations 3d_fullres --networks default eas resenc_m
train --datasets "$dataset" --configurations 3d_fullres --networks default eas --seeds 1
train --datasets "$knees" --networks default "${order[@]}" --seeds 0 1
train --datasets "$dataset" --networks "${ablation[@]}" --seeds 0 1

costs() { python "$here/costs.py" --work "$work" --out "$work/costs.json" --device cuda "$@" || failed=1; }
costs --datasets "$dataset" --configurations 2d --networks "${networks[@]}" "${ablation[@]}"
costs --datasets "$dataset" --configurations 3d_fullres --networks default eas resenc_m
costs --datasets "$knees" --configurations 2d --networks default "${order[@]}"

compare comparison --networks "${networks[@]}"
compare rivals --reference eas --networks "${order[@]}" --ranking "${order[@]}"
compare ablation --reference eas --networks "${ablation[@]}"
exit $failed

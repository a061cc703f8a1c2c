#!/usr/bin/env bash
# Everything that needs a GPU, in one run: the gpu tests, the walkthrough of our commands, the planner's memory, speed,
# the comparison with the rivals in short, and, with more than one GPU, DDP. Needs an environment with the project and its
# [test] extra installed.
#
# Usage: benchmarks/gpu_check.sh DATASET_FOLDER WORK_FOLDER
#   DATASET_FOLDER  a dataset in nnU-Net's raw layout, DatasetXXX_NAME
#   WORK_FOLDER     everything is written below it; the results are WORK_FOLDER/*.json
set -euo pipefail
dataset="$(realpath "${1:?usage: gpu_check.sh DATASET_FOLDER WORK_FOLDER}")"
work="$(realpath -m "${2:?usage: gpu_check.sh DATASET_FOLDER WORK_FOLDER}")"
mkdir -p "$work"/nnunet/{raw,preprocessed,results}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python -c 'import torch; assert torch.cuda.is_available(), "no CUDA device"; print(torch.cuda.get_device_name())'
nnUNet_raw="$work/nnunet/raw" nnUNet_preprocessed="$work/nnunet/preprocessed" nnUNet_results="$work/nnunet/results" \
    nnunet-eas doctor
pytest -m gpu

# plan, train, predict and compare with nnU-Net's own commands, eager and compiled, at the batch sizes that nnU-Net plans
# for the hippocampus data and 8 GB
for compile in 0 1; do
    nnUNet_compile=$compile python -m benchmarks.checks.walkthrough --dataset "$dataset" \
        --work "$work/walkthrough_compile$compile" --device cuda --batch 2d=281 3d_fullres=7 --patch --epochs 10 \
        --iterations 50 --workers 1 --out "$work/walkthrough_compile$compile.json"
done

# the planner's count against the memory that CUDA's allocator hands out, for plans of 8 to 80 GB that fit this GPU
python -m benchmarks.planning.training_memory --work "$work/training_memory" --device cuda \
    --out "$work/training_memory_cuda.json"

# training steps in both layouts and number formats with their memory, scans, and prediction commands
python -m benchmarks.speed.gpu --json "$work/gpu.json"

# training steps, memory and prediction beside default nnU-Net and ResEnc-M, eager and compiled, and the machine's floor
for compile in 0 1; do
    nnUNet_compile=$compile python -m benchmarks.speed.speed --device cuda --json "$work/speed_cuda_compile$compile.json"
done

# all rivals side by side with their costs, in short; evidence.sh is the full comparison
compare=(--datasets "$dataset" --work "$work/comparison" --device cuda)
python -m benchmarks.speed.costs "${compare[@]}" --configurations 3d_fullres --networks default eas resenc_m \
    --out "$work/costs.json"
python -m benchmarks.speed.costs "${compare[@]}" --preset comparison --out "$work/costs.json"
runner=("${compare[@]}" --results "$work/runs" --folds 0 --epochs 20 --iterations 100)
python -m benchmarks.compare.runner "${runner[@]}" --configurations 3d_fullres --networks default eas resenc_m
python -m benchmarks.compare.runner "${runner[@]}" --preset comparison
python -m benchmarks.compare.comparison --results "$work/runs" --costs "$work/costs.json" --out "$work/comparison"

if [ "$(python -c 'import torch; print(torch.cuda.device_count())')" -gt 1 ]; then
    folders="$work/walkthrough_compile1/$(basename "$dataset")"
    nnUNet_raw="$folders/raw" nnUNet_preprocessed="$folders/preprocessed" nnUNet_results="$work/ddp" \
        nnUNetv2_train "$(basename "$dataset")" 3d_fullres 0 -tr EASUNetTrainer_5epochs -num_gpus 2
fi
echo "all passed; results: $work/*.json"

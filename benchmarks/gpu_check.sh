#!/usr/bin/env bash
# What needs a GPU, in one run: the gpu tests, the walk-through eager and compiled, two networks at equal iterations, the
# planner's memory, the comparison with the rivals in short, and, with more than one GPU, DDP. Needs an environment with the project and its [test] extra installed.
#
# Usage: benchmarks/gpu_check.sh DATASET_FOLDER WORK_FOLDER
#   DATASET_FOLDER  a dataset in nnU-Net's raw layout, DatasetXXX_NAME
#   WORK_FOLDER     everything is written below it; the results are WORK_FOLDER/*.json
set -euo pipefail
dataset=${1:?usage: gpu_check.sh DATASET_FOLDER WORK_FOLDER}
work=${2:?usage: gpu_check.sh DATASET_FOLDER WORK_FOLDER}
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
dataset="$(cd "$dataset" && pwd)"
mkdir -p "$work"/nnunet/{raw,preprocessed,results}
work="$(cd "$work" && pwd)"

python -c 'import torch; assert torch.cuda.is_available(), "no CUDA device"; print(torch.cuda.get_device_name())'
nnUNet_raw="$work/nnunet/raw" nnUNet_preprocessed="$work/nnunet/preprocessed" nnUNet_results="$work/nnunet/results" \
    nnunet-eas doctor
(cd "$here/.." && pytest -m gpu)

# the planned batch sizes, not lowered ones: 2d and 3d_fullres of the hippocampus fit into 8 GB
for compile in 0 1; do
    nnUNet_compile=$compile python "$here/walkthrough.py" --dataset "$dataset" --work "$work/walkthrough_compile$compile" \
        --device cuda --batch 2d=281 3d_fullres=7 --iterations 2d=50 3d_fullres=50 \
        --out "$work/walkthrough_compile$compile.json"
done
python "$here/equal_iterations.py" --dataset "$dataset" --work "$work/equal_iterations" --device cuda \
    --batch 2d=281 3d_fullres=7 --length 2d=20x100 3d_fullres=20x100 --out "$work/equal_iterations.json"

# the planner's count against the memory that CUDA's allocator hands out, for plans of 8 to 80 GB that fit this GPU
python "$here/training_memory.py" --work "$work/training_memory" --device cuda --out "$work/training_memory_cuda.json"

# training steps, memory and prediction beside default nnU-Net and ResEnc-M, eager and compiled, and how far from the floor
for compile in 0 1; do
    nnUNet_compile=$compile python "$here/speed.py" --device cuda --json "$work/speed_cuda_compile$compile.json"
done

# all rivals side by side, and what they cost; a look, not the full comparison (five folds, more seeds, longer)
compare=(--datasets "$dataset" --work "$work/comparison" --configurations 2d 3d_fullres --device cuda)
python "$here/costs.py" "${compare[@]}" --out "$work/costs.json" --networks default eas resenc_m
python "$here/costs.py" "${compare[@]}" --out "$work/costs.json" --configurations 2d
python "$here/runner.py" "${compare[@]}" --results "$work/runs" --networks default eas resenc_m --folds 0 \
    --epochs 20 --iterations 100
python "$here/runner.py" "${compare[@]}" --results "$work/runs" --configurations 2d --folds 0 --epochs 20 --iterations 100
python "$here/comparison.py" --results "$work/runs" --costs "$work/costs.json" --out "$work/comparison"

if [ "$(python -c 'import torch; print(torch.cuda.device_count())')" -gt 1 ]; then
    nnUNet_raw="$work/walkthrough_compile1/raw" nnUNet_preprocessed="$work/walkthrough_compile1/preprocessed" \
        nnUNet_results="$work/ddp" nnUNetv2_train "$(basename "$dataset")" 3d_fullres 0 -tr EASUNetTrainer_5epochs -num_gpus 2
fi
echo "all passed; results: $work/*.json"

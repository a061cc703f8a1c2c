#!/usr/bin/env bash
# What a first hour on a GPU must answer: benchmarks/gpu_check.py. Needs an environment with the project and its [test]
# extra. Usage: benchmarks/gpu_check.sh WORK_FOLDER [--rehearse] [STEP ...]
cd "$(dirname "${BASH_SOURCE[0]}")/.." && exec python -m benchmarks.gpu_check "$@"

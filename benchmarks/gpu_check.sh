#!/usr/bin/env bash
# What a first hour on a GPU must answer: benchmarks/gpu_check.py. Needs an environment with the project and its [test]
# extra. Usage: benchmarks/gpu_check.sh WORK_FOLDER [--seconds S] [--rehearse] [STEP ...]
cd "$(dirname "${BASH_SOURCE[0]}")/.." && exec python3 -m benchmarks.gpu_check "$@"

#!/usr/bin/env bash
# The embedded model from nothing: the four stages in order on made people, then into the package as float16.
# PHOTOS=folder/of/portraits experiments/train_tiny.sh      (without PHOTOS: procedural people only)
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" REAL3D_RUNS="${REAL3D_RUNS:-runs}" REAL3D_DATA="${REAL3D_DATA:-data}" REAL3D_WEIGHTS="${REAL3D_RUNS:-runs}/weights"
store="$REAL3D_DATA/people-tiny"
photos=()
[ -z "${PHOTOS:-}" ] || photos=(--photos "$PHOTOS")
python -m core.people write "${photos[@]}" --out "$store" --people 700 --val-people 40 --frames 12 --size 512 --workers 2
lightning run recon fit -c experiments/recon/tiny.yaml -c experiments/recon/tiny_coarse.yaml
lightning run recon fit -c experiments/recon/tiny.yaml --model.init_from "$REAL3D_RUNS/recon-tiny-coarse/weights"
lightning run animate fit -c experiments/animate/tiny.yaml
lightning run compose fit -c experiments/compose/tiny.yaml
lightning run audio2motion fit -c experiments/audio2motion/tiny.yaml
python tools/ship_weights.py "$REAL3D_RUNS/animate-tiny/weights" "$REAL3D_RUNS/compose-tiny/weights" "$REAL3D_WEIGHTS" packages/portrait/src/portrait/weights/tiny

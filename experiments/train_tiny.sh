#!/usr/bin/env bash
# The embedded model from nothing: the four stages in order on made people, then into the package as float16. Run it again after a stop:
# every step goes on where it was.
#   PHOTOS=folder/of/portraits experiments/train_tiny.sh      (without PHOTOS: procedural people only)
#   MINUTES="30 20 45 60 25"    time for stage 1 at quarter size, stage 1, 2, 3 and 4
#   PEOPLE=700                  people in training; a tenth more is kept out
#   SHIP=folder                 where the five networks go
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" REAL3D_RUNS="${REAL3D_RUNS:-runs}" REAL3D_DATA="${REAL3D_DATA:-data}"
people="${PEOPLE:-700}"
read -r -a minutes <<< "${MINUTES:-30 20 45 60 25}"
photos=()
[ -z "${PHOTOS:-}" ] || photos=(--photos "$PHOTOS")

fit() {  # STAGE MINUTES OPTIONS...
  local stage="$1" limit="$2"
  shift 2
  lightning run "$stage" fit "$@" --trainer.max_time "$(printf '00:%02d:%02d:00' $((limit / 60)) $((limit % 60)))" --ckpt_path last
}

store="$REAL3D_DATA/people-tiny"
python -m core.people write "${photos[@]}" --out "$store" --people "$people" --val-people $((people / 10 + 1)) --frames 12 --size 512 --workers 2
fit recon "${minutes[0]}" -c experiments/recon/tiny.yaml -c experiments/recon/tiny_coarse.yaml
fit recon "${minutes[1]}" -c experiments/recon/tiny.yaml --model.init_from "$REAL3D_RUNS/recon-tiny-coarse/weights"
fit animate "${minutes[2]}" -c experiments/animate/tiny.yaml
fit compose "${minutes[3]}" -c experiments/compose/tiny.yaml
fit audio2motion "${minutes[4]}" -c experiments/audio2motion/tiny.yaml -c experiments/common/ema.yaml
python tools/ship_weights.py "$REAL3D_RUNS/animate-tiny/weights" "$REAL3D_RUNS/compose-tiny/weights" \
  "$REAL3D_RUNS/audio2motion-tiny/weights" "${SHIP:-packages/portrait/src/portrait/weights/tiny}"

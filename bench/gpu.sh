#!/bin/sh
# What waits for a GPU, most valuable first: bench/gpu.sh OUT [DATASET]
# DATASET is a folder from `mien pack`, or of strips (bench/unstrip.py); without one nothing is trained. Each item is saved in OUT as it ends, and a
# training where it stands, so the same call goes on where the last one stopped; one call takes at most MINUTES (9).
# PYTHON names the interpreter (.venv/bin/python), GPUS how many to train on together (all that are there).
set -u
out=${1:?bench/gpu.sh OUT [DATASET]}
data=${2:-}
case $out in /*) ;; *) out=$PWD/$out ;; esac
case $data in '' | /*) ;; *) data=$PWD/$data ;; esac
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
[ -n "${CPU:-}" ] || "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "$python sees no GPU; CPU=1 goes on without one" >&2
    exit 2
}
gpus=${GPUS:-$(nvidia-smi --list-gpus 2>/dev/null | grep -c .)}
end=$(($(date +%s) + ${MINUTES:-9} * 60 - 15))
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$out/done" "$out/said" || exit 2

# item NAME SECONDS COMMAND…: do it once; not begun where fewer than so many seconds are left
item() {
    name=$1 needs=$2
    shift 2
    [ -e "$out/done/$name" ] && return
    left=$((end - $(date +%s)))
    if [ "$left" -lt "$needs" ]; then
        echo "$name: for the next call ($left s left)"
        waiting=yes
        return
    fi
    timeout --signal=INT --kill-after=10 "$left" "$@" >"$out/said/$name.txt" 2>&1
    status=$?
    case $status in
        0) touch "$out/done/$name" && echo "$name: done" ;;
        124 | 130 | 137) echo "$name: goes on in the next call" && waiting=yes ;;
        *) echo "$name: failed with status $status, see $out/said/$name.txt" && failed=yes ;;
    esac
}

bench() { item "bench-$1" 90 "$python" -m mien bench "$1" --seconds 0.3 --out "$out/bench-$1"; }

# train RECIPE [SEED]
train() {
    [ -n "$data" ] || return
    seed=${2:-0}
    item "train-$1-s$seed" 40 "$python" -m mien train "$1" "$data" --first-seed "$seed" --out "$out/runs"
    [ -e "$out/done/train-$1-s$seed" ] && item "evaluate-$1-s$seed" 20 "$python" -m mien evaluate "$out/runs/$1-s$seed"
}

waiting='' failed=''
if [ -f "$data/strip0.png" ]; then
    [ -d "$out/data" ] || "$python" bench/unstrip.py "$data" "$out/data" || exit 2
    data=$out/data
fi
bench quick-densenet
train densenet-blink
train densenet-fast
bench densenet
bench study-densenet
train densenet
bench densenet-121
train cnn
for seed in 1 2 3 4; do train densenet "$seed"; done
if [ -n "$data" ]; then # teachers that have not seen the face, then what they teach
    item train-folds 60 "$python" -m mien train densenet-fast "$data" name=folds --folds 3 --val-apart --out "$out/runs"
    [ -e "$out/done/train-folds" ] && \
        item teach-unseen 40 "$python" -m mien distill "$data" "$out"/runs/folds-s0-f?of3 --out "$out/unseen.csv"
    [ -e "$out/done/teach-unseen" ] && item train-unseen 60 "$python" -m mien train pocket "$data" \
        distillation.soft_targets="$out/unseen.csv" name=pocket-unseen --out "$out/runs"
    [ -e "$out/done/train-unseen" ] && item evaluate-unseen 20 "$python" -m mien evaluate "$out/runs/pocket-unseen-s0"
fi
if [ -e "$out/done/train-densenet-s4" ]; then
    item teach 40 "$python" -m mien distill "$data" "$out"/runs/densenet-s[0-4] --out "$out/teacher.csv"
    item train-taught 60 "$python" -m mien train pocket "$data" distillation.soft_targets="$out/teacher.csv" \
        name=pocket-taught --out "$out/runs"
    [ -e "$out/done/train-taught" ] && item evaluate-taught 20 "$python" -m mien evaluate "$out/runs/pocket-taught-s0"
fi
train resnet
if [ -n "$data" ] && [ "$gpus" -gt 1 ]; then
    item "train-on-$gpus" 60 "$python" -m torch.distributed.run --nproc-per-node "$gpus" \
        -m mien train densenet-fast "$data" "name=densenet-fast-on-$gpus" --out "$out/runs"
    [ -e "$out/done/train-on-$gpus" ] && \
        item "evaluate-on-$gpus" 20 "$python" -m mien evaluate "$out/runs/densenet-fast-on-$gpus-s0"
fi
[ -z "$waiting" ] && echo "nothing is left to begin"
[ -z "$failed" ]

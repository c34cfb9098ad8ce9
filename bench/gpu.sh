#!/bin/sh
# What waits for a GPU, most valuable first: bench/gpu.sh OUT [DATASET]
# DATASET is a folder from `mien pack`; without one nothing is trained. Each item is saved in OUT as it ends, and a
# training where it stands, so the same call goes on where the last one stopped; one call takes at most MINUTES (9).
# PYTHON names the interpreter (.venv/bin/python), GPUS how many to train on together (all that are there).
set -u
out=${1:?bench/gpu.sh OUT [DATASET]}
data=${2:-}
case $out in /*) ;; *) out=$PWD/$out ;; esac
case $data in '' | /*) ;; *) data=$PWD/$data ;; esac
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
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
        124 | 130) echo "$name: goes on in the next call" && waiting=yes ;;
        *) echo "$name: failed with status $status, see $out/said/$name.txt" && failed=yes ;;
    esac
}

bench() { item "bench-$1" 100 "$python" -m mien bench "$1" --out "$out/bench-$1"; }

train() {
    [ -n "$data" ] || return
    item "train-$1" 40 "$python" -m mien train "$1" "$data" --out "$out/runs"
    [ -e "$out/done/train-$1" ] && item "evaluate-$1" 20 "$python" -m mien evaluate "$out/runs/$1-s0"
}

waiting='' failed=''
item tests 60 "$python" -m pytest tests/test_engine.py -q -k graphs
bench quick-densenet
train densenet-blink
train densenet-fast
bench densenet
bench study-densenet
train densenet
bench densenet-121
train cnn
if [ -n "$data" ] && [ "$gpus" -gt 1 ]; then
    item "train-on-$gpus" 60 "$python" -m torch.distributed.run --nproc-per-node "$gpus" \
        -m mien train densenet-fast "$data" "name=densenet-fast-on-$gpus" --out "$out/runs"
fi
[ -z "$waiting" ] && echo "nothing is left to begin"
[ -z "$failed" ]

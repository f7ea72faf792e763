#!/usr/bin/env bash
# Train on the GPUs of one or more nodes:
#   sbatch --nodes 2 --gpus-per-node 8 scripts/train_slurm.sh matte joint multi \
#       --run runs/wan --start-from models/wan --configs CONFIGS --data LATENTS --sharded
# With ENCODE=1 before it, the arguments are those of `encode-data`. SLURM stops a job with SIGTERM some
# time before its limit (below): the state is saved, and the job puts itself back into the queue.
#SBATCH --job-name=layert2v
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=layert2v-%j.log
set -euo pipefail

command=train
[[ -n ${ENCODE:-} ]] && command=encode-data
gpus=${SLURM_GPUS_ON_NODE:-${GPUS:-1}}
nodes=${SLURM_NNODES:-1}
first=localhost
((nodes > 1)) && first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
launch=(
    torchrun --nnodes "$nodes" --nproc-per-node "$gpus"
    --rdzv-id "${SLURM_JOB_ID:-0}" --rdzv-backend c10d --rdzv-endpoint "$first:${PORT:-29500}"
    --no-python -- layert2v-engine "$command" "$@"
)
[[ -n ${SLURM_JOB_ID:-} ]] && launch=(srun --kill-on-bad-exit=1 "${launch[@]}")

stopped= child=
trap 'stopped=1; [[ -z $child ]] || kill -TERM "$child"' TERM
"${launch[@]}" &
child=$!
[[ -z $stopped ]] || kill -TERM "$child" # it came while the child was started
status=0
wait "$child" || status=$?
while kill -0 "$child" 2>/dev/null; do wait "$child" || status=$?; done
if [[ -n $stopped && -n ${SLURM_JOB_ID:-} ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"

#!/bin/bash

# Parameters
#SBATCH --account=vision
#SBATCH --array=0-99%8
#SBATCH --cpus-per-task=4
#SBATCH --gpus-per-node=1
#SBATCH --job-name=exp3@20261120-183012-slurm-gpu-k3f9.0-99
#SBATCH --mem=7680M
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=logs/slurm-%A.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --signal=B:USR2@90
#SBATCH --time=720
#SBATCH --constraint=a100
#SBATCH -x node[3,7]

# setup
cd -- '/data/it'"'"'s 100%/training_data/exp3/submissions/20261120-183012-slurm-gpu-k3f9' || exit 66
job=$(printf %06d $((0 + SLURM_ARRAY_TASK_ID)))
submission=$PWD number=$job
rm -f ended/"$number".*
left() {
    status=$?
    if [ "$status" != 0 ] && [ "$status" != 99 ]; then
        node=${SLURMD_NODENAME:-$(uname -n)}
        cd "$submission" && mkdir -p ended && : >"ended/$number.$status.${node%%.*}"
    fi
    exit "$status"
}
trap left EXIT
shopt -s execfail  # a program that cannot be started ends the script in its own way
{ : >>"logs/$job.log"; } || exit 67
exec >>"logs/$job.log" 2>&1
trap '' USR1 USR2  # until the worker listens
export NEUROFIT_JOB_STARTED=$(date +%s) SUBMITIT_LOG_LEVEL=100 PYTHONSAFEPATH=1
module load cuda
cd -- '/data/it'"'"'s 100%/training_data/exp3/submissions/20261120-183012-slurm-gpu-k3f9' || exit 66
ln -sfn 000000.pkl "slurm/${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}_submitted.pkl"

# command
export SUBMITIT_EXECUTOR=slurm
exec '/opt/my env/bin/python' -u -m submitit.core._submit /proc/self/cwd/slurm

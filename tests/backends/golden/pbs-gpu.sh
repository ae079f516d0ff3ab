# qsub -J 0-19%4 '/home/ann'"'"'s work, 1:2/study/training_data/exp3/submissions/20261120-183012-qsub-gpu-k3f9/job.sh'
#!/bin/bash
#PBS -N nfk3f9183012
#PBS -S /bin/bash
#PBS -j oe
#PBS -o /dev/null
#PBS -r y
#PBS -l select=1:ncpus=1:mem=8192mb:ngpus=1
#PBS -l walltime=12:00:00
#PBS -m a
# exp3: what PBS runs for every job of this submission. Written by neurofit.

submission='/home/ann'"'"'s work, 1:2/study/training_data/exp3/submissions/20261120-183012-qsub-gpu-k3f9'
study='/home/ann'"'"'s work, 1:2/study'
job=${NEUROFIT_JOB:-$PBS_ARRAY_INDEX}
case $job in '' | *[!0-9]*)
    echo "neurofit: this script has no job number; PBS has to start it"
    exit 64 ;;
esac
export NEUROFIT_JOB_STARTED=$(date +%s)
trap '' USR1 USR2 # the queue's notice is for the worker, which listens; the shell stays
trap : TERM

number=$(printf %06d "$job")
log=$submission/logs/$number.log
worked=
finish() {
    status=$?
    if [ -z "$worked" ] && { [ "$status" = 0 ] || [ "$status" = 99 ]; }; then
        status=1 # only a worker may end well, or ask for another start
    fi
    if [ "$status" = 99 ]; then
        status=0
        PATH=$PBS_O_PATH:${PBS_EXEC:-/opt/pbs}/bin:$PATH # first whose qsub took this job: a node may have another's too
        id=$(qsub --version 2>&1)
        if [[ $id == *pbs_version* ]] && id=$(qsub -v NEUROFIT_JOB="$job" "$submission/job.sh" 2>&1) &&
            id=$(grep -xE '[0-9]+\..+' <<<"$id"); then
            mkdir -p "$submission/resubmitted" && : >"$submission/resubmitted/$(printf %06d "$job").$id"
        else
            echo "neurofit: this job could not be queued again from its node ($id); the next submit continues it."
        fi
    fi
    [ -s "$log" ] || rm -f "$log"
    if [ "$status" != 0 ] && [ "$status" != 99 ]; then
        node=${SLURMD_NODENAME:-$(uname -n)}
        cd "$submission" && mkdir -p ended && : >"ended/$number.$status.${node%%.*}"
    fi
    exit "$status"
}
trap finish EXIT
cd "$submission" && rm -f ended/"$number".* && mkdir -p logs && : >>"$log" || exit 97
exec >>"$log" 2>&1
cd "$study" || exit 97

export PYTHONSAFEPATH=1
export OMP_NUM_THREADS=1
export OPENBLAS_NUM_THREADS=1
export MKL_NUM_THREADS=1
export NUMEXPR_NUM_THREADS=1
export TF_NUM_INTRAOP_THREADS=1
export TF_NUM_INTEROP_THREADS=1
export TF_CPP_MIN_LOG_LEVEL=2
export TF_FORCE_GPU_ALLOW_GROWTH=true
export TF_ENABLE_ONEDNN_OPTS=1
source /etc/profile
module load python

/usr/bin/python3 -m neurofit.backends.devices 1 -- /usr/bin/python3 -m neurofit.worker "$submission" "$job"
status=$?
worked=yes
exit "$status"

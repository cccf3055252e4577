# A site file: what your cluster needs before a job runs. Copy it, and name it: make slurm SITE=my_site.sh
# It is put into the job script as it stands (bash). All of it is optional.

# Modules, where Python or CUDA come from them:
#   module purge
#   module load cuda/12.4

# A container: what stands before every command. The folder of the project and of the data must be visible inside.
#   CONTAINER="apptainer exec --nv --bind /scratch /scratch/images/am-mrg.sif"

# Networks of a cluster sometimes need to be told which interface to take:
#   export NCCL_SOCKET_IFNAME=ib0

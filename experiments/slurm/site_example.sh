# A site file: what your cluster needs before a job runs. Copy it and name the copy: make slurm SITE=my_site.sh
# Its text is copied into the job script (bash). All of it is optional.

# Modules, if Python or CUDA come from modules:
#   module purge
#   module load cuda/12.4

# A container: put before every command. The folders of the project and the data must be visible inside.
#   CONTAINER="apptainer exec --nv --bind /scratch /scratch/images/am-mrg.sif"

# Some clusters need the name of the network interface:
#   export NCCL_SOCKET_IFNAME=ib0

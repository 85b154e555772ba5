/// Which rank of how many this process is, as the program that started it says.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "host/parallel/sockets.h"

namespace unroll {

struct Launch {
  std::string launcher;  // "torchrun", "mpirun" or "srun": whose variables say so
  int rank = 0, ranks = 1;
  int local_rank = 0;   // among those of this machine
  SocketAddress first;  // where rank 0 listens for the others
};

/// The value of a variable of the environment, or null.
using Environment = std::function<const char*(const char* name)>;

/// Nothing if no launcher started this process, or started it alone.
///
///   torchrun and its like   RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT. Beside
///                           TORCHELASTIC_RUN_ID the port is the next one: torchrun itself listens
///                           at MASTER_PORT.
///   mpirun (Open MPI)       OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE. Where all ranks
///                           are on one machine, they meet there, else on that of mpirun.
///   srun                    SLURM_PROCID, SLURM_LOCALID and SLURM_STEP_NUM_TASKS, which only a
///   step
///                           has: a batch script without srun is one process. Rank 0 is on the
///                           first host of SLURM_STEP_NODELIST.
///
/// With mpirun and srun, MASTER_ADDR and MASTER_PORT are taken if they are set; the port is else
/// one from 20,000 to 29,999 that follows from the job's number. Errors    std::runtime_error, with
/// the variable, if one is missing or is not what it should be.
std::optional<Launch> launch_of(const Environment& environment);

/// The first of hosts as Slurm writes them: "n03" of "n[03-05,9],login".
std::string first_host(const std::string& hosts);

}  // namespace unroll

/// How TCP ranks find each other.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "host/base/file.h"
#include "host/parallel/shared_link.h"
#include "host/parallel/tcp_communicator.h"

namespace unroll {

/// Connections of one rank. Empty where there is none.
struct TcpConnections {
  std::vector<std::optional<Descriptor>> data;      // to each other rank
  std::vector<std::unique_ptr<SharedLink>> shared;  // the same, for ranks of this machine
  std::vector<std::optional<Descriptor>> control;   // rank 0: to each other rank; others: to rank 0
};

/// Errors    as connect_ranks().
TcpConnections find_ranks(TcpRanks& ranks);

}  // namespace unroll

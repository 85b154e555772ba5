/// Variables that all ranks are to have alike.
#pragma once

#include <string>
#include <vector>

#include "host/parallel/communicator.h"
#include "unroll/session.h"

namespace unroll {

/// Collective: gives these variables of every rank's store the values that rank 0 has.
/// Errors    RankFailure.
void share_variables(Communicator& communicator, const std::vector<std::string>& names,
                     VariableStore& store);

}  // namespace unroll

#include "host/models/share_variables.h"

#include <cstddef>

#include "host/models/stored_variables.h"

namespace unroll {

void share_variables(Communicator& communicator, const std::vector<std::string>& names,
                     VariableStore& store) {
  for (TensorData& variable : variable_tensors(store, names)) {
    std::vector<std::byte> bytes = variable.bytes.all();
    communicator.broadcast(bytes);
    if (communicator.leads()) continue;
    variable.bytes = TensorBytes(bytes);
    write_variable(variable, "", Accepted::kAny, store);
  }
}

}  // namespace unroll

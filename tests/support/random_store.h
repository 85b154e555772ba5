/// A model of any task with random parameters, so that what it says of two inputs differs.
#pragma once

#include <memory>
#include <utility>

#include "host/models/task.h"
#include "tests/support/random.h"
#include "unroll/variable_store.h"

namespace unroll::test {

/// Parameters in [-range, range).
inline std::shared_ptr<VariableStore> random_store(const Task& model,
                                                   std::shared_ptr<Backend> backend,
                                                   double range = 1) {
  auto store = std::make_shared<VariableStore>(std::move(backend), 1);
  Random random(2);
  for (const VariableInfo& info : model.parameters()) {
    store->require(info);
    store->write<float>(info.name, floats(random.array(dims_of(info.type.shape), -range, range)));
  }
  return store;
}

}  // namespace unroll::test

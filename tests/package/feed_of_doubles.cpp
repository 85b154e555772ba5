/// Must not compile: check.cmake reads what the compiler says.
#include <vector>

#include "unroll/unroll.h"

void feed_doubles(unroll::Session& session, unroll::Tensor x) {
  const std::vector<double> values{1, 2};
  session.run(x, {{x, values}});
}

/// Must not compile: check.cmake reads what the compiler says.
#include <vector>

#include "unroll/unroll.h"

void feed_unsigned(unroll::Session& session, unroll::Tensor x) {
  const std::vector<unsigned> values{1, 2};
  session.run(x, {{x, values}});
}

/// Results as one self-contained HTML page: no script, no other files, no network. All text from
/// results is escaped.
#pragma once

#include <string>

#include "host/bench/report/results.h"

namespace unroll::benchmark {

std::string make_page(const Results& results);

}  // namespace unroll::benchmark

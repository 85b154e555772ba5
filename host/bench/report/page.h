/// Results as one HTML page that needs nothing else: no script, no file beside it, no network.
/// Everything that comes from results is escaped.
#pragma once

#include <string>

#include "host/bench/report/results.h"

namespace unroll::benchmark {

std::string make_page(const Results& results);

}  // namespace unroll::benchmark

/// Writes to stdout the page of a CSV file.
#include <cstdio>
#include <exception>

#include "host/bench/report/page.h"

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw std::runtime_error("usage: unroll_page_probe FILE.csv");
    std::fputs(unroll::benchmark::make_page(unroll::benchmark::read_csv(argv[1])).c_str(), stdout);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

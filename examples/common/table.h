/// Reading of the small tables in examples/data.
#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using Table = std::vector<std::vector<std::string>>;

/// The lines of a file, split at `separator`.
inline Table read_table(const std::string& file, char separator) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file);
  Table table;
  for (std::string line; std::getline(in, line);) {
    std::istringstream cells(line);
    auto& row = table.emplace_back();
    for (std::string cell; std::getline(cells, cell, separator);) row.push_back(cell);
  }
  return table;
}

/// Reading of the small tables in examples/data.
#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using Table = std::vector<std::vector<std::string>>;

/// The lines of a file, each split at `separator` into so many cells.
inline Table read_table(const std::string& file, char separator, std::size_t columns) {
  if (file.empty()) throw std::runtime_error("got no file, expected one as the argument");
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file);
  Table table;
  for (std::string line; std::getline(in, line);) {
    std::istringstream cells(line);
    auto& row = table.emplace_back();
    for (std::string cell; std::getline(cells, cell, separator);) row.push_back(cell);
    if (row.size() != columns)
      throw std::runtime_error(file + ": line " + std::to_string(table.size()) + ": got " +
                               std::to_string(row.size()) + " cells, expected " +
                               std::to_string(columns));
  }
  return table;
}

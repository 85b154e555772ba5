/// Variables by name, in a device's memory: what a training run changes, and what a file keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "unroll/device.h"
#include "unroll/graph.h"

namespace unroll {

/// The vector that `read` fills, through an array where T is bool.
template <typename T, typename Read>
std::vector<T> read_vector(std::size_t size, const Read& read) {
  if constexpr (std::is_same_v<T, bool>) {
    const auto values = std::make_unique<bool[]>(size);
    read(std::span<bool>(values.get(), size));
    return std::vector<bool>(values.get(), values.get() + size);
  } else {
    std::vector<T> values(size);
    read(std::span<T>(values));
    return values;
  }
}

/// The variables of one graph, or of several that share them. A session makes a store if it is
/// given none.
///
/// Threads may share a store, each with a session of its own, if a thread holds lock() while it
/// makes, uses or destroys the session or uses the store:
///
///     const auto guard = store->lock();
///     session.run(step, feeds);
///
/// Otherwise neither the store nor its backend is thread-safe.
class VariableStore {
 public:
  /// `seed` decides the variables' first values, and dropout's masks.
  VariableStore(std::shared_ptr<Backend> backend, std::uint64_t seed);

  Backend& backend() const { return *backend_; }
  std::uint64_t seed() const { return seed_; }

  /// Waits until no other thread holds the store, and holds it as long as the result lives. A
  /// thread that holds it may take it again.
  std::unique_lock<std::recursive_mutex> lock() { return std::unique_lock(mutex_); }

  bool contains(const std::string& name) const { return variables_.contains(name); }
  std::vector<std::string> names() const;  // in alphabetical order

  /// Creates and initialises the variable unless it is there.
  /// Errors    std::invalid_argument if it is, with another shape or element type, or if it is not
  ///           float32 and would not begin with zeros.
  void require(const VariableInfo& info);

  /// Writes every variable to a safetensors file, an optimiser's own included. A file that was
  /// there is replaced only when the new one, FILE.partial until then, is whole.
  /// Errors    std::runtime_error, naming the file, if it cannot be written.
  void save(const std::filesystem::path& file) const;
  /// Gives every variable the value that the file has for it. The file must hold exactly the
  /// store's variables, with their shapes and element types. It is in memory as a whole meanwhile.
  /// Errors    std::runtime_error, naming file and variable, for anything else; no variable has
  ///           changed then. DeviceError if the device fails while they are copied to it.
  void load(const std::filesystem::path& file);
  /// The same for these variables only. The file may hold others, and so may the store.
  /// Errors    as above; std::invalid_argument if the store has no variable of such a name.
  void load(const std::filesystem::path& file, std::span<const std::string> names);

  /// Copies values between a variable and the host.
  /// Shapes    as many values as the variable has elements; T is its element type.
  /// Errors    std::invalid_argument if these differ, or if there is no variable of that name.
  template <typename T>
  void write(const std::string& name, std::span<const T> values) {
    write_bytes(name, values.data(), values.size(), dtype_of<T>());
  }
  template <typename T>
  void read(const std::string& name, std::span<T> values) const {
    read_bytes(name, values.data(), values.size(), dtype_of<T>());
  }
  template <typename T>
  std::vector<T> read(const std::string& name) const {
    const auto size = std::size_t(view(name).elements());
    return read_vector<T>(size, [&](std::span<T> values) { read(name, values); });
  }

  /// The variable's memory on the device.
  /// Errors    std::invalid_argument if there is no variable of that name.
  View view(const std::string& name) const;
  /// Says that the variable's memory was written: its version changes.
  void touch(const std::string& name);

 private:
  struct Variable {
    TensorType type;
    std::shared_ptr<void> memory;
    std::uint64_t version;
  };
  const Variable& find(const std::string& name) const;
  void write_bytes(const std::string& name, const void* values, std::size_t size, DType dtype);
  void read_bytes(const std::string& name, void* values, std::size_t size, DType dtype) const;

  std::shared_ptr<Backend> backend_;
  std::uint64_t seed_;
  std::recursive_mutex mutex_;
  std::map<std::string, Variable> variables_;  // a map's elements stay where they are
};

}  // namespace unroll

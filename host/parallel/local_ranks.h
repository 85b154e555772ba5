/// Starts the other ranks of a run on this machine: copies of this program with the same arguments.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "host/base/file.h"
#include "host/parallel/launch.h"

namespace unroll {

/// This process becomes rank 0. The others end with it, however it ends.
class LocalRanks {
 public:
  /// To be called by the program's first thread while there is no other.
  /// Errors    std::runtime_error if the system starts no process.
  explicit LocalRanks(int ranks);
  /// Gives them some seconds to end by themselves, then ends them.
  ~LocalRanks();
  LocalRanks(const LocalRanks&) = delete;
  LocalRanks& operator=(const LocalRanks&) = delete;

  const Launch& launch() const { return launch_; }
  /// The socket that rank 0 listens with.
  Descriptor take_listener() { return std::move(*listener_); }

  /// Errors    std::runtime_error if one has ended already.
  void require_running();

 private:
  struct Child {
    int rank;
    pid_t id;
    bool ended = false;
  };
  /// Whether it has ended; `status` as of waitpid().
  static bool has_ended(Child& child, int& status);

  Launch launch_;
  std::optional<Descriptor> listener_;
  std::vector<Child> children_;
};

}  // namespace unroll

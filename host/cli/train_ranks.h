/// The ranks of `unroll train`: who this process is among them, and what they do together beside
/// training.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/parallel/communicator.h"
#include "host/parallel/device_exchange.h"
#include "host/parallel/launch.h"
#include "host/parallel/local_ranks.h"

namespace unroll::cli {

/// How the launcher that started this process, if one did, calls this rank. Errors: as launch_of().
std::optional<Launch> launch_of_process();

class TrainRanks {
 public:
  /// Joins the ranks of a launcher, or starts `flag` of them here if that is more than 1. Without
  /// either there is one. Ranks other than 0 are silent from now on.
  /// Errors    UsageError if `flag` and launcher differ; std::runtime_error if a rank does not
  /// come.
  explicit TrainRanks(int flag);
  ~TrainRanks();

  /// Null: there is one rank.
  Communicator* communicator() const { return communicator_.get(); }
  int count() const { return communicator_ ? communicator_->size() : 1; }
  bool leads() const { return !communicator_ || communicator_->leads(); }

  /// Does `work`. If it fails, the other ranks learn why, and one of all ranks says so.
  void run(const std::function<void()>& work);
  /// To be called when ranks need each other no more.
  void finish();

  // What follows is collective, and does nothing else with one rank.
  /// Calls `work` on the first rank of each machine, then on the others: it fills a cache.
  void first_of_machine_first(const std::function<void()>& work);
  /// Refuses ranks whose facts differ from those of rank 0.
  /// Errors    std::runtime_error on rank 0, with rank and name; RankFailure on the others.
  void require_alike(const Json& facts, bool are_flags);
  /// The flags of this rank: a GPU of its own, and its share of processors that several ranks may
  /// use, unless threads were asked for.
  DeviceFlags device_of_rank(DeviceFlags flags) const;
  /// How this rank's device exchanges with those of other ranks, which must outlive it; null with
  /// one rank. Says on stderr which way GPUs go.
  std::shared_ptr<DeviceExchange> exchange_of(Backend& device) const;
  /// Rank 0's text.
  std::string from_first(const std::string& text) const;

 private:
  std::optional<Launch> launch_;
  std::optional<LocalRanks> local_;
  std::unique_ptr<Communicator> communicator_;
  bool finished_ = false;
};

/// The hash of the program that runs.
std::string hash_of_program();

}  // namespace unroll::cli

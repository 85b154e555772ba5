#include "host/cli/train_ranks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "host/base/file_hash.h"
#include "host/cli/signals.h"
#include "host/cli/values.h"
#include "host/parallel/tcp_communicator.h"
#include "unroll/backend.h"
#include "unroll/cpu_limits.h"
#include "unroll/cuda_report.h"

namespace unroll::cli {
namespace {

constexpr int kMostLocalRanks = 256;

/// Ends a process that computes although another rank has failed.
void end_overdue(const RankFailure& failure, int rank) {
  set_silent(failure.teller() != rank);
  complain(failure.what());
  std::_Exit(1);
}

/// Which processors of which machine this process may use.
std::string processors() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::string text = host.data();
  for (int k = 0; k < CPU_SETSIZE; ++k) text += CPU_ISSET(k, &set) ? '1' : '0';
  return text;
}

int usable_gpus() {
  const CudaReport report = cuda_report();
  return int(std::ranges::count_if(
      report.devices, [](const CudaDeviceReport& device) { return device.why_not.empty(); }));
}

}  // namespace

std::optional<Launch> launch_of_process() {
  return launch_of([](const char* name) -> const char* { return std::getenv(name); });
}

std::string hash_of_program() {
  const std::filesystem::path file = "/proc/self/exe";
  const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC), file, "cannot be opened");
  return file_hash(fd.get(), file, nullptr);
}

TrainRanks::TrainRanks(int flag) : launch_(launch_of_process()) {
  require_range("--ranks", flag, 0, kMostLocalRanks);
  if (launch_ && flag > 0 && flag != launch_->ranks)
    throw UsageError(fmt::format("--ranks: got {}, expected the {} of {}, or no flag", flag,
                                 launch_->ranks, launch_->launcher));
  if (!launch_ && flag <= 1) return;
  TcpRanks ranks;
  if (!launch_) {
    launch_ = local_.emplace(flag).launch();
    ranks.listener.emplace(local_->take_listener());
    ranks.while_waiting = [this] { local_->require_running(); };
  }
  ranks.rank = launch_->rank;
  ranks.ranks = launch_->ranks;
  ranks.first = launch_->first;
  ranks.overdue = [rank = launch_->rank](const RankFailure& failure) {
    end_overdue(failure, rank);
  };
  set_silent(launch_->rank != 0);
  if (launch_->rank != 0) silence_signals();
  try {
    communicator_ = connect_ranks(std::move(ranks));
  } catch (...) {
    set_silent(false);  // there is no other rank that could say it
    throw;
  }
  note(fmt::format("ranks: {}, started by {}", launch_->ranks,
                   local_ ? "this one" : launch_->launcher));
}

TrainRanks::~TrainRanks() = default;

void TrainRanks::run(const std::function<void()>& work) {
  if (!communicator_) return work();
  try {
    work();
    finish();
  } catch (const RankFailure& failure) {
    set_silent(failure.teller() != communicator_->rank());
    throw;
  } catch (const std::exception& error) {
    if (!finished_) set_silent(communicator_->fail(error.what()));
    throw;
  }
}

void TrainRanks::finish() {
  if (communicator_ && !std::exchange(finished_, true)) communicator_->finish();
}

void TrainRanks::first_of_machine_first(const std::function<void()>& work) {
  if (!communicator_) return work();
  const bool first = launch_->local_rank == 0;
  if (first) work();
  communicator_->barrier();
  if (!first) work();
}

void TrainRanks::require_alike(const Json& facts, bool are_flags) {
  if (!communicator_) return;
  const std::vector<std::string> all = communicator_->gather(facts.dump());
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    const Json theirs = Json::parse(all[rank]);
    for (const auto& [name, value] : facts.items()) {
      if (theirs.contains(name) && theirs.at(name) == value) continue;
      std::string flag = name;
      std::ranges::replace(flag, '_', '-');
      throw std::runtime_error(fmt::format("rank {}: {}{}: got {}, expected {} as on rank 0", rank,
                                           are_flags ? "--" : "", are_flags ? flag : name,
                                           theirs.contains(name) ? theirs.at(name).dump() : "none",
                                           value.dump()));
    }
  }
  communicator_->barrier();
}

DeviceFlags TrainRanks::device_of_rank(DeviceFlags flags) const {
  if (!communicator_) return flags;
  if (flags.device == "auto") flags.device = launch_->local_rank < usable_gpus() ? "cuda" : "cpu";
  if (flags.device == "cuda") flags.device = fmt::format("cuda:{}", launch_->local_rank);
  // A launcher may have given each rank processors of its own.
  const std::string own = processors();
  std::string all;
  for (const std::string& text : communicator_->gather(own)) all += text + "\n";
  all = communicator_->broadcast(all);
  int sharing = 0;
  for (std::size_t at = 0; (at = all.find(own + "\n", at)) != all.npos; ++at) ++sharing;
  if (flags.threads == 0)
    flags.threads = std::max(1, processor_limit().processors / std::max(sharing, 1));
  return flags;
}

std::shared_ptr<DeviceExchange> TrainRanks::exchange_of(Backend& device) const {
  if (!communicator_) return nullptr;
  std::string why;
  std::shared_ptr<DeviceExchange> exchange = best_exchange(*communicator_, device, &why);
  if (device.kind() == DeviceKind::kCuda)
    note(fmt::format("exchange: {}{}", exchange->name(), why.empty() ? "" : "; " + why));
  return exchange;
}

std::string TrainRanks::from_first(const std::string& text) const {
  return communicator_ ? communicator_->broadcast(text) : text;
}

}  // namespace unroll::cli

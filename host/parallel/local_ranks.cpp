#include "host/parallel/local_ranks.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>

namespace unroll {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// The program's arguments as the system has them.
std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\0', at), all.size());
    arguments.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

/// What torchrun would set.
std::vector<std::string> environment_of(const Launch& launch, int rank) {
  const std::string names[] = {"RANK=",        "WORLD_SIZE=",  "LOCAL_RANK=",
                               "MASTER_ADDR=", "MASTER_PORT=", "TORCHELASTIC_RUN_ID="};
  std::vector<std::string> variables;
  for (char** variable = environ; *variable; ++variable)
    if (std::ranges::none_of(names, [&](const std::string& name) {
          return std::string_view(*variable).starts_with(name);
        }))
      variables.emplace_back(*variable);
  variables.push_back(fmt::format("RANK={}", rank));
  variables.push_back(fmt::format("WORLD_SIZE={}", launch.ranks));
  variables.push_back(fmt::format("LOCAL_RANK={}", rank));
  variables.push_back("MASTER_ADDR=" + launch.first.host);
  variables.push_back(fmt::format("MASTER_PORT={}", launch.first.port));
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

LocalRanks::LocalRanks(int ranks) {
  launch_ = {.launcher = "", .rank = 0, .ranks = ranks, .local_rank = 0, .first = {"127.0.0.1", 0}};
  listener_.emplace(listen_at(launch_.first));
  launch_.first.port = port_of(listener_->get());
  std::vector<std::string> arguments = own_arguments();
  const std::vector<char*> argv = pointers_to(arguments);
  const pid_t parent = ::getpid();
  for (int rank = 1; rank < ranks; ++rank) {
    std::vector<std::string> variables = environment_of(launch_, rank);
    const std::vector<char*> environment = pointers_to(variables);
    const pid_t id = ::fork();
    if (id < 0)
      throw std::runtime_error(
          fmt::format("rank {}: cannot be started: {}", rank, std::strerror(errno)));
    if (id == 0) {
      // The parent may have ended before this was asked for.
      if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(1);
      ::execve("/proc/self/exe", argv.data(), environment.data());
      ::_exit(127);
    }
    children_.push_back({rank, id});
  }
}

LocalRanks::~LocalRanks() {
  constexpr milliseconds kGrace{3'000}, kPause{10};
  const auto deadline = steady_clock::now() + kGrace;
  const auto all_ended = [&] {
    int status = 0;
    bool all = true;
    for (Child& child : children_) all = has_ended(child, status) && all;
    return all;
  };
  while (!all_ended() && steady_clock::now() < deadline) std::this_thread::sleep_for(kPause);
  for (const Child& child : children_)
    if (!child.ended) ::kill(child.id, SIGKILL);
  for (Child& child : children_)
    if (!child.ended) ::waitpid(child.id, nullptr, 0);
}

bool LocalRanks::has_ended(Child& child, int& status) {
  if (!child.ended) child.ended = ::waitpid(child.id, &status, WNOHANG) == child.id;
  return child.ended;
}

void LocalRanks::require_running() {
  for (Child& child : children_)
    if (int status = 0; has_ended(child, status))
      throw std::runtime_error(WIFSIGNALED(status)
                                   ? fmt::format("rank {}: was ended by signal {} during the start",
                                                 child.rank, WTERMSIG(status))
                                   : fmt::format("rank {}: ended with status {} during the start",
                                                 child.rank, WEXITSTATUS(status)));
}

}  // namespace unroll

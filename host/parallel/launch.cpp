#include "host/parallel/launch.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string_view>

namespace unroll {
namespace {

constexpr int kMostRanks = 1024, kMostPort = 65'535;

/// Reads variables of one launcher.
class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  bool has(const char* name) const { return environment_(name) != nullptr; }
  std::string text(const char* name) const {
    const char* value = environment_(name);
    return value ? value : "";
  }

  /// A whole number in [low, high].
  int number(const char* name, int low, int high) const {
    const std::string value = text(name);
    int result = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
    if (error == std::errc() && end == value.data() + value.size() && result >= low &&
        result <= high)
      return result;
    throw std::runtime_error(
        fmt::format("{}: got {}, expected a number from {} to {}: a launcher sets it for each rank",
                    name, has(name) ? "'" + value + "'" : "none", low, high));
  }

  /// The same unless it is not set.
  int number_or(const char* name, int otherwise, int high) const {
    return has(name) ? number(name, 0, high) : otherwise;
  }

 private:
  const Environment& environment_;
};

/// A port that all ranks of a job find alike, below those that systems give to clients.
int port_of_job(std::string_view job) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : job)
    hash = (hash ^ std::uint64_t(static_cast<unsigned char>(c))) * 1099511628211ULL;
  constexpr int kFirst = 20'000, kPorts = 10'000;
  return kFirst + int(hash % kPorts);
}

SocketAddress address_or(const Variables& v, const std::string& host, const std::string& job) {
  return {v.has("MASTER_ADDR") ? v.text("MASTER_ADDR") : host,
          v.has("MASTER_PORT") ? v.number("MASTER_PORT", 1, kMostPort) : port_of_job(job)};
}

/// "10.0.0.1" of "2390556672.0;tcp://10.0.0.1,172.17.0.2:49163"; empty if it is not of that form.
std::string host_of_mpirun(const std::string& uri) {
  constexpr std::string_view kBegin = "tcp://";
  const std::size_t at = uri.find(kBegin);
  if (at == uri.npos) return "";
  const std::size_t begin = at + kBegin.size();
  return uri.substr(begin, uri.find_first_of(",:", begin) - begin);
}

/// The variables of a launcher that count ranks.
struct CountNames {
  const char *ranks, *rank, *local_rank;
};

Launch counted(const Variables& v, const char* launcher, const CountNames& names) {
  Launch launch{.launcher = launcher};
  launch.ranks = v.number(names.ranks, 1, kMostRanks);
  launch.rank = v.number(names.rank, 0, launch.ranks - 1);
  launch.local_rank = v.number_or(names.local_rank, 0, kMostRanks);
  return launch;
}

Launch by_torchrun(const Variables& v) {
  Launch launch = counted(v, "torchrun", {"WORLD_SIZE", "RANK", "LOCAL_RANK"});
  if (launch.ranks == 1) return launch;
  if (!v.has("MASTER_ADDR"))
    throw std::runtime_error(
        "MASTER_ADDR: got none beside RANK and WORLD_SIZE, expected the machine of rank 0");
  const bool agent = v.has("TORCHELASTIC_RUN_ID");
  launch.first = {v.text("MASTER_ADDR"),
                  v.number("MASTER_PORT", 1, kMostPort - 1) + (agent ? 1 : 0)};
  return launch;
}

Launch by_mpirun(const Variables& v) {
  Launch launch = counted(
      v, "mpirun", {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"});
  if (launch.ranks == 1) return launch;
  const std::string uri = v.text("OMPI_MCA_orte_hnp_uri"), space = v.text("PMIX_NAMESPACE");
  const bool one_machine = v.number_or("OMPI_COMM_WORLD_LOCAL_SIZE", 0, kMostRanks) == launch.ranks;
  launch.first =
      address_or(v, one_machine ? "127.0.0.1" : host_of_mpirun(uri), uri.empty() ? space : uri);
  if (launch.first.host.empty())
    throw std::runtime_error(
        "MASTER_ADDR: got none from mpirun on several machines, expected that of rank 0");
  return launch;
}

Launch by_srun(const Variables& v) {
  Launch launch = counted(v, "srun", {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"});
  if (launch.ranks == 1) return launch;
  launch.first = address_or(v, first_host(v.text("SLURM_STEP_NODELIST")),
                            v.text("SLURM_JOB_ID") + "." + v.text("SLURM_STEP_ID"));
  if (launch.first.host.empty())
    throw std::runtime_error("SLURM_STEP_NODELIST: got none, expected the hosts of the step");
  return launch;
}

}  // namespace

std::optional<Launch> launch_of(const Environment& environment) {
  const Variables v(environment);
  std::optional<Launch> launch;
  if (v.has("RANK") && v.has("WORLD_SIZE"))
    launch = by_torchrun(v);
  else if (v.has("OMPI_COMM_WORLD_RANK"))
    launch = by_mpirun(v);
  else if (v.has("SLURM_PROCID") && v.has("SLURM_STEP_NUM_TASKS"))
    launch = by_srun(v);
  if (launch && launch->ranks == 1) return std::nullopt;
  return launch;
}

std::string first_host(const std::string& hosts) {
  std::string host;
  for (std::size_t at = 0; at < hosts.size() && hosts[at] != ',';) {
    if (hosts[at] != '[') {
      host += hosts[at++];
      continue;
    }
    const std::size_t end = hosts.find(']', at);
    if (end == hosts.npos) return "";
    const std::string items = hosts.substr(at + 1, end - at - 1);
    host += items.substr(0, items.find_first_of(",-"));
    at = end + 1;
  }
  return host;
}

}  // namespace unroll

#include "host/cpu/sample.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "unroll/math/philox.h"
#include "unroll/math/sampling.h"

namespace unroll::host {
namespace {

// The leading bits of a key: sign, exponent and three bits of the mantissa.
constexpr int kBucketBits = 12;
constexpr std::size_t kBuckets = std::size_t{1} << kBucketBits;

/// Memory of a thread.
struct Row {
  std::uint64_t* order;  // [V] key, then id
  double* weights;       // [V] in the order of ids
  double* bucket_sums;   // [kBuckets]
  std::int64_t* ends;    // [kBuckets] places behind each bucket

  static std::size_t bytes(std::int64_t ids) {
    return (std::size_t(ids) + kBuckets) * (sizeof(std::uint64_t) + sizeof(double));
  }
  Row(std::byte* memory, std::int64_t ids)
      : order(reinterpret_cast<std::uint64_t*>(memory)),
        weights(reinterpret_cast<double*>(order + ids)),
        bucket_sums(weights + ids),
        ends(reinterpret_cast<std::int64_t*>(bucket_sums + kBuckets)) {}
};

/// The ids of a row, the most probable first. Of the buckets a draw sorts only those that it looks
/// into, and knows the others by their sums.
class DescendingIds {
 public:
  DescendingIds(const Sample& args, std::int64_t row, const Row& memory)
      : args_(args),
        ids_(args.log_prob.shape[1]),
        log_prob_(args.log_prob.as<float>() + row * ids_),
        row_(memory) {
    std::uint32_t first = key(0);
    for (std::int64_t id = 1; id < ids_; ++id) first = std::min(first, key(id));
    best_ = math::log_prob_of(first);
  }

  float best() const { return best_; }
  std::int32_t first_id() const {
    std::int64_t id = 0;
    while (math::log_prob_of(key(id)) != best_) ++id;
    return std::int32_t(id);
  }

  /// Weighs the ids and puts them in order of their buckets.
  void weigh() {
    std::fill_n(row_.bucket_sums, kBuckets, 0.0);
    std::fill_n(row_.ends, kBuckets, 0);
    for (std::int64_t id = 0; id < ids_; ++id) {
      const std::uint32_t own = key(id);
      const double weight = math::sampling_weight(math::log_prob_of(own), best_, args_.temperature);
      row_.weights[id] = weight;
      row_.bucket_sums[bucket_of(own)] += weight;
      ++row_.ends[bucket_of(own)];
      drawable_ += weight > 0 && weight >= args_.min_p ? 1 : 0;
    }
    std::int64_t begin = 0;
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
      const std::int64_t count = row_.ends[bucket];
      row_.ends[bucket] = begin;
      begin += count;
    }
    for (std::int64_t id = 0; id < ids_; ++id) {
      const std::uint32_t own = key(id);
      row_.order[row_.ends[bucket_of(own)]++] = std::uint64_t(own) << 32 | std::uint64_t(id);
    }
  }

  /// How many have a weight that is not 0 and that min_p keeps: the first ones.
  std::int64_t drawable() const { return drawable_; }

  /// The weights of the first so many.
  double sum_of_first(std::int64_t count) {
    double sum = 0;
    std::int64_t begin = 0;
    for (std::size_t bucket = 0; begin < count; begin = row_.ends[bucket++])
      if (row_.ends[bucket] <= count) {
        sum += row_.bucket_sums[bucket];
      } else {
        sort(begin, row_.ends[bucket]);
        for (std::int64_t place = begin; place < count; ++place) sum += row_.weights[id_at(place)];
      }
    return sum;
  }

  /// The first place where the sum of the weights up to it, and with it, is such that reached(sum);
  /// the last of the first `count` if there is none before. The place is sorted.
  template <typename Reached>
  std::int64_t first_place(std::int64_t count, const Reached& reached) {
    double before = 0;
    std::int64_t begin = 0;
    for (std::size_t bucket = 0;; begin = row_.ends[bucket++]) {
      const std::int64_t end = row_.ends[bucket];
      const double after = before + row_.bucket_sums[bucket];
      if (end >= count || reached(after)) {
        sort(begin, end);
        for (std::int64_t place = begin; place < end; ++place) {
          before += row_.weights[id_at(place)];
          if (place == count - 1 || reached(before)) return place;
        }
      }
      before = after;  // other roundings than those of a walk through it
    }
  }

  std::int32_t id_at(std::int64_t place) const {
    return std::int32_t(row_.order[place] & 0xFFFFFFFFu);
  }

 private:
  void sort(std::int64_t begin, std::int64_t end) {
    std::sort(row_.order + begin, row_.order + end);
  }
  static std::size_t bucket_of(std::uint32_t key) { return key >> (32 - kBucketBits); }
  std::uint32_t key(std::int64_t id) const {
    return math::descending_key(id == args_.excluded_id ? -std::numeric_limits<float>::infinity()
                                                        : log_prob_[id]);
  }

  const Sample& args_;
  std::int64_t ids_;
  const float* log_prob_;
  Row row_;
  float best_ = 0;
  std::int64_t drawable_ = 0;
};

/// The id that `args` draw from row n.
std::int32_t draw(const Sample& args, std::int64_t row, const Row& memory) {
  DescendingIds ids(args, row, memory);
  if (!std::isfinite(ids.best())) return -1;
  if (args.temperature == 0) return ids.first_id();
  ids.weigh();
  const std::int64_t all = args.log_prob.shape[1];
  std::int64_t count = args.top_k > 0 ? std::min(args.top_k, all) : all;
  if (args.top_p < 1) {
    const double limit = args.top_p * ids.sum_of_first(count);
    count = 1 + ids.first_place(count, [&](double sum) { return sum >= limit; });
  }
  count = std::min(count, ids.drawable());
  const auto step = std::uint64_t(*args.step.as<std::int64_t>());
  const double drawn =
      math::uniform53(math::philox(args.key, std::uint64_t(row), step)) * ids.sum_of_first(count);
  return ids.id_at(ids.first_place(count, [&](double sum) { return sum > drawn; }));
}

}  // namespace

std::size_t sample_scratch_bytes(const Device& device, std::int64_t rows, std::int64_t ids) {
  return std::size_t(std::min<std::int64_t>(rows, device.pool.size())) * Row::bytes(ids);
}

void sample(Device& device, const Sample& args) {
  const std::int64_t rows = args.log_prob.shape[0], ids = args.log_prob.shape[1];
  const int threads = int(std::min<std::int64_t>(rows, device.pool.size()));
  auto* id = args.id.as<std::int32_t>();
  const auto draw_rows = [&](int thread) {
    const Row memory(args.scratch.as<std::byte>() + std::size_t(thread) * Row::bytes(ids), ids);
    const Range range = split_range(rows, 1, thread, threads);
    for (std::int64_t row = range.begin; row < range.end; ++row) id[row] = draw(args, row, memory);
  };
  if (threads > 1)
    device.pool.run([&](int thread) {
      if (thread < threads) draw_rows(thread);
    });
  else if (rows > 0)
    draw_rows(0);
}

}  // namespace unroll::host

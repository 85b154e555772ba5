#include "host/parallel/gradient_sum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "tests/parallel/support.h"
#include "tests/support/backends.h"

namespace unroll::test {
namespace {

using ShardVector = std::vector<float>;

/// One vector for each shard, of sizes that make the order of a sum show in its bits. Some sums are
/// subnormal, which the CPU takes for 0 and a GPU does not.
std::vector<ShardVector> shard_values(std::int64_t shards, std::size_t size) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> value(-1, 1);
  std::vector<ShardVector> all(static_cast<std::size_t>(shards), ShardVector(size));
  for (ShardVector& values : all)
    for (float& x : values) x = value(random) * std::exp2(float(int(random() % 20) - 10));
  for (ShardVector& values : all) values[size / 2] = 0.6F * std::numeric_limits<float>::min();
  return all;
}

/// What tests keep on a device.
struct DeviceVectors {
  std::shared_ptr<Backend> device;
  std::vector<std::shared_ptr<void>> memory = {};

  template <typename T>
  View add(const std::vector<T>& values, const Shape& shape) {
    const std::size_t bytes = values.size() * sizeof(T);
    memory.push_back(device->allocate(bytes));
    device->upload(memory.back().get(), values.data(), bytes);
    return {memory.back().get(), shape, dtype_of<T>()};
  }
  template <typename T>
  std::vector<T> read(const View& view) const {
    std::vector<T> values(std::size_t(view.elements()));
    device->download(values.data(), view.data, view.bytes());
    return values;
  }

  ShardVector plus(const ShardVector& left, const ShardVector& right) {
    const Shape shape{std::int64_t(left.size())};
    const View a = add(left, shape), b = add(right, shape), sum = add(left, shape);
    device->elementwise({.kind = ElementwiseKind::kAdd, .a = a, .b = b, .out = sum});
    return read<float>(sum);
  }
  ShardVector node_sum(const std::vector<ShardVector>& all, const IndexRange& node) {
    return tree_sum(
        node, [&](std::int64_t shard) { return all[std::size_t(shard)]; },
        [&](const ShardVector& left, const ShardVector& right) { return plus(left, right); });
  }
};

class GradientSumOn : public OnEachBackend {
 protected:
  static DeviceVectors device() {
    return {GetParam() == "Cpu" ? cpu(1) : cuda(0, kCudaForms.at(GetParam()))};
  }
  /// An emulated GPU is slow: the last case there.
  template <typename T>
  static std::vector<T> chosen(std::vector<T> all) {
    return GetParam() == "Cpu" ? all : std::vector<T>{all.back()};
  }
};

TEST_P(GradientSumOn, HasTheBitsOfTheTreeForAnyNumberOfRanks) {
  for (const std::int64_t shards : chosen<std::int64_t>({1, 2, 8, 11, 5}))
    for (const std::size_t size : chosen<std::size_t>({1, 3, 255, 1027})) {
      // Three tensors, so that a slice may begin and end anywhere in any of them.
      const std::vector<std::size_t> sizes = {size, 3, 130};
      std::vector<std::vector<ShardVector>> all;
      std::vector<ShardVector> expected;
      for (const std::size_t one : sizes) {
        all.push_back(shard_values(shards, one));
        expected.push_back(device().node_sum(all.back(), {0, shards}));
      }
      std::vector<int> counts;
      for (int ranks = 1; ranks <= shards; ++ranks) counts.push_back(ranks);
      if (GetParam() != "Cpu") counts = {2};
      for (const int ranks : counts) {
        SCOPED_TRACE(testing::Message() << shards << " shards on " << ranks);
        expect_no_error(on_ranks(ranks_in_process(ranks), [&](Communicator& c) {
          DeviceVectors vectors = device();
          const auto exchange = exchange_through_host(c, *vectors.device);
          GradientSum sum({c, *exchange, *vectors.device}, shards);
          OwnGradients own;
          std::vector<ShardVector> brought;
          for (const IndexRange& node : sum.own_nodes()) {
            std::vector<View>& tensors = own.nodes.emplace_back();
            for (std::size_t k = 0; k < sizes.size(); ++k) {
              brought.push_back(vectors.node_sum(all[k], node));
              tensors.push_back(vectors.add(brought.back(), Shape{std::int64_t(sizes[k])}));
            }
          }
          for (int step = 0; step < 2; ++step) {  // the second finds what the first left
            const SummedGradients& got = sum.sum(own);
            for (std::size_t k = 0; k < sizes.size(); ++k) {
              const auto values = vectors.read<float>(got.tensors.at(k));
              if (values.size() != sizes[k] ||
                  std::memcmp(values.data(), expected[k].data(), sizes[k] * sizeof(float)) != 0)
                throw std::runtime_error("other bits than the tree's");
            }
          }
          // A tensor may be that of two parameters, so nothing may be written to it.
          std::size_t next = 0;
          for (const std::vector<View>& node : own.nodes)
            for (const View& tensor : node)
              if (vectors.read<float>(tensor) != brought[next++])
                throw std::runtime_error("another gradient than before");
        }));
      }
    }
}

TEST_P(GradientSumOn, GathersRowsInTheOrderOfTheRanks) {
  expect_no_error(on_ranks(ranks_in_process(3), [](Communicator& c) {
    DeviceVectors vectors = device();
    const auto exchange = exchange_through_host(c, *vectors.device);
    GradientSum sum({c, *exchange, *vectors.device}, 3);
    // In step s, rank r has r + s rows of two elements. Only rank 1 brings the flag, once.
    for (const int step : {2, 0, 1}) {
      std::vector<std::int32_t> ids, all_ids;
      ShardVector rows, all_rows;
      for (int rank = 0; rank < 3; ++rank)
        for (int k = 0; k < rank + step; ++k) {
          const int id = 100 * step + 10 * rank + k;
          all_ids.push_back(id);
          all_rows.insert(all_rows.end(), {float(id), -float(id)});
          if (rank != c.rank()) continue;
          ids.push_back(id);
          rows.insert(rows.end(), {float(id), -float(id)});
        }
      OwnGradients own;
      own.nodes = {{vectors.add(ShardVector{1}, Shape{1})}};
      const auto count = std::int64_t(ids.size());
      own.tables = {{vectors.add(ids, Shape{count}), vectors.add(rows, Shape{count, 2})}};
      own.flag = step == 0 && c.rank() == 1;
      const SummedGradients& got = sum.sum(own);
      if (vectors.read<std::int32_t>(got.tables.at(0).ids) != all_ids ||
          vectors.read<float>(got.tables.at(0).rows) != all_rows)
        throw std::runtime_error("other rows");
      if (got.tables[0].rows.shape != Shape{std::int64_t(all_ids.size()), 2})
        throw std::runtime_error("another shape");
      if (got.flag != (step == 0)) throw std::runtime_error("another flag");
      if (vectors.read<float>(got.tensors.at(0)) != ShardVector{3})
        throw std::runtime_error("another sum");
    }
  }));
}

UNROLL_FOR_EACH_BACKEND(GradientSumOn);

}  // namespace
}  // namespace unroll::test

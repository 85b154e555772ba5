/// The names of the ways to compute a recurrent stack, and what each cannot compute.
#include "unroll/recurrent_algorithm.h"

#include <gtest/gtest.h>

#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/temp_folder.h"
#include "unroll/device.h"

namespace unroll::test {
namespace {

constexpr PassAlgorithm kBlocks{.block = 8}, kPersistent{.persistent = true};

std::string name_after_parsing(const std::string& name) {
  return to_string(RecurrentAlgorithm::parse(name));
}

TEST(RecurrentAlgorithm, EveryNameIsReadAsItIsWritten) {
  std::vector<std::string> names{"auto"};
  const std::vector<std::string> passes{"stepwise", "stepwise:1", "stepwise:2147483647",
                                        "persistent"};
  for (const std::string& forward : passes) {
    names.push_back(forward);
    for (const std::string& backward : passes)
      if (backward != forward) names.push_back(forward + "+" + backward);
  }
  for (const char* form :
       {"standard", "persist_static", "persist_dynamic", "persist_static_small_h"})
    for (const char* packed : {"", ":packed"})
      for (const char* half : {"", ":fp16"})
        for (const char* bare : {"", ":bare"})
          names.push_back(std::string("cudnn:") + form + packed + half + bare);
  for (const std::string& name : names) EXPECT_EQ(name_after_parsing(name), name);
  for (std::size_t a = 0; a < names.size(); ++a)
    for (std::size_t b = 0; b < names.size(); ++b)
      EXPECT_EQ(RecurrentAlgorithm::parse(names[a]) == RecurrentAlgorithm::parse(names[b]), a == b)
          << names[a] << " and " << names[b];
}

TEST(RecurrentAlgorithm, OneValueHasOneName) {
  EXPECT_EQ(name_after_parsing("cudnn"), "cudnn:standard");
  EXPECT_EQ(name_after_parsing("persistent+persistent"), "persistent");
  EXPECT_EQ(name_after_parsing("stepwise:4+stepwise:4"), "stepwise:4");
  EXPECT_EQ(name_after_parsing("stepwise:04"), "stepwise:4");
}

TEST(RecurrentAlgorithm, NamesMeanWhatTheySay) {
  EXPECT_EQ(RecurrentAlgorithm::parse("auto"), RecurrentAlgorithm());
  EXPECT_TRUE(RecurrentAlgorithm().is_automatic());
  const auto mixed = RecurrentAlgorithm::parse("persistent+stepwise:8");
  EXPECT_EQ(mixed, (StackAlgorithm{kPersistent, kBlocks}));
  EXPECT_TRUE(mixed.is_persistent());
  EXPECT_TRUE(RecurrentAlgorithm::parse("stepwise+persistent").is_persistent());
  EXPECT_FALSE(mixed.is_automatic());
  EXPECT_EQ(mixed.cudnn(), nullptr);
  const auto cudnn = RecurrentAlgorithm::parse("cudnn:persist_static_small_h:packed:fp16:bare");
  EXPECT_EQ(cudnn, (CudnnForm{CudnnAlgorithm::kPersistStaticSmallH, true, true, true}));
  EXPECT_EQ(cudnn.ours(), nullptr);
  EXPECT_FALSE(cudnn.is_persistent());  // that is cuDNN's word for another thing
  EXPECT_FALSE(RecurrentAlgorithm::parse("stepwise:8").is_persistent());
}

TEST(RecurrentAlgorithm, RefusesWhatIsNoName) {
  const std::string many(1000, '9');
  for (const std::string& name : {std::string(),
                                  std::string("auto "),
                                  std::string("Auto"),
                                  std::string("auto+stepwise"),
                                  std::string("stepwise:"),
                                  std::string("stepwise:0"),
                                  std::string("stepwise:-4"),
                                  std::string("stepwise:+4"),
                                  std::string("stepwise: 4"),
                                  std::string("stepwise:8x"),
                                  std::string("stepwise8"),
                                  std::string("stepwise:2147483648"),
                                  "stepwise:" + many,
                                  std::string("persistent:2"),
                                  std::string("persistent+"),
                                  std::string("+persistent"),
                                  std::string("persistent++stepwise"),
                                  std::string("persistent+stepwise+stepwise"),
                                  std::string("persistent+cudnn"),
                                  std::string("persistent+auto"),
                                  std::string("cudnn:"),
                                  std::string("cudnn+cudnn"),
                                  std::string("cudnn:fast"),
                                  std::string("cudnnstandard"),
                                  std::string("cudnn:packed"),
                                  std::string("cudnn:standard:"),
                                  std::string("cudnn:standard:bare:fp16"),
                                  std::string("cudnn:standard:fp16:packed"),
                                  std::string("cudnn:standard:packed:packed")}) {
    const auto error = error_of<std::invalid_argument>(
        [&] { static_cast<void>(RecurrentAlgorithm::parse(name)); });
    EXPECT_EQ(error, "RNN algorithm: got '" + name + "', expected " +
                         std::string(RecurrentAlgorithm::kNames));
  }
}

TEST(RecurrentAlgorithm, RefusesANameWithANul) {
  EXPECT_THROW(RecurrentAlgorithm::parse(std::string_view("auto\0", 5)), std::invalid_argument);
  EXPECT_THROW(RecurrentAlgorithm::parse(std::string_view("stepwise:8\0", 11)),
               std::invalid_argument);
}

// What is told to expect is accepted.
TEST(RecurrentAlgorithm, SaysWhichNamesThereAre) {
  const std::string names(RecurrentAlgorithm::kNames);
  for (const std::string name : {"auto", "stepwise", "persistent", "cudnn", "standard",
                                 "persist_static", "persist_dynamic", "persist_static_small_h"}) {
    EXPECT_TRUE(contains(names, name)) << name;
    if (name.starts_with("persist_") || name == "standard")
      EXPECT_EQ(name_after_parsing("cudnn:" + name + ":packed"), "cudnn:" + name + ":packed");
    else
      EXPECT_NO_THROW(name_after_parsing(name));
  }
  EXPECT_EQ(names.find("fp16"), names.npos) << "is only for comparisons, as is bare";
  EXPECT_EQ(names.find("bare"), names.npos);
}

TEST(RecurrentAlgorithm, SaysWhichCellsItCannotCompute) {
  struct Row {
    RecurrentSpec spec;
    std::string persistent, cudnn;  // why not
    std::string cudnn_persist = cudnn;
  };
  const Row table[] = {
      {{.cell = CellKind::kLstm}, "", ""},
      {{.cell = CellKind::kLstm, .reset = GruReset::kBefore}, "", ""},  // only a gru has a reset
      {{.cell = CellKind::kGru, .reset = GruReset::kAfter}, "", ""},
      {{.cell = CellKind::kGru, .reset = GruReset::kBefore},
       "persistent kernels have no gru with reset before, which takes two products a timestep",
       "cuDNN has no gru with reset before"},
      {{.cell = CellKind::kRnnTanh}, "", ""},
      {{.cell = CellKind::kRnnRelu}, "", ""},
      {{.cell = CellKind::kRnnLogistic}, "", "cuDNN has no rnn_logistic"},
      {{.layer_norm = true}, "persistent kernels have no layer norm", "cuDNN has no layer norm"},
      {{.input_gate = InputGate::kCoupled},
       "persistent kernels have no coupled input gate",
       "cuDNN has no coupled input gate"},
      {{.input_gate = InputGate::kCapped},
       "persistent kernels have no capped input gate",
       "cuDNN has no capped input gate"},
      {{.projection = 4},
       "persistent kernels have no projection",
       "",
       "only cudnn:standard has a projection"},
  };
  for (std::size_t k = 0; k < std::size(table); ++k) {
    const auto check = [&](const std::string& name, const std::string& expected) {
      const auto algorithm = RecurrentAlgorithm::parse(name);
      EXPECT_EQ(why_not(algorithm, table[k].spec), expected) << name << ", row " << k;
      EXPECT_EQ(why_not(algorithm, table[k].spec, DeviceKind::kCuda), expected)
          << name << ", row " << k;
    };
    for (const char* name : {"auto", "stepwise", "stepwise:8"}) check(name, "");
    for (const char* name : {"persistent", "persistent+stepwise", "stepwise:2+persistent"})
      check(name, table[k].persistent);
    check("cudnn:standard", table[k].cudnn);
    check("cudnn:persist_static:packed", table[k].cudnn_persist);
  }
}

TEST(RecurrentAlgorithm, SaysWhichDeviceItCannotUse) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"auto", ""},
      {"stepwise", ""},
      {"stepwise:8", "the CPU has no blocks of timesteps"},
      {"stepwise+stepwise:8", "the CPU has no blocks of timesteps"},
      {"persistent", "the CPU has one algorithm"},
      {"stepwise+persistent", "the CPU has one algorithm"},
      {"cudnn:standard", "cuDNN computes only on a GPU"},
      {"cudnn:standard:bare", "cuDNN computes only on a GPU"}};
  const RecurrentSpec gru{.cell = CellKind::kGru, .reset = GruReset::kBefore};
  for (const auto& [name, why] : table) {
    const auto algorithm = RecurrentAlgorithm::parse(name);
    EXPECT_EQ(why_not(algorithm, DeviceKind::kCpu), why) << name;
    EXPECT_EQ(why_not(algorithm, gru, DeviceKind::kCpu), why) << name;
    EXPECT_EQ(why_not(algorithm, DeviceKind::kCuda), "") << name;
  }
}

}  // namespace
}  // namespace unroll::test

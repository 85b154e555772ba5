/// The program and its devices: what the doctor says, and runs that go from a GPU to the CPU and
/// back. The GPU is the emulated one, so that these run everywhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/data/grammar.h"
#include "tests/support/program.h"
#include "unroll/backend.h"
#include "unroll/cpu_limits.h"

namespace unroll::test {
namespace {

using nlohmann::json;

TEST(Doctor, SaysWhatAutoMeansHere) {
  const Output page = run_unroll("doctor");
  EXPECT_EQ(page.status, 0) << page.err;
  EXPECT_EQ(page.err, "");
  EXPECT_TRUE(contains(page.out, "\ncpu            cpu ("));
  EXPECT_TRUE(contains(page.out, "\nmemory         "));
  const ProcessorLimit limit = processor_limit();
  EXPECT_TRUE(contains(page.out, "\nprocessors     " + std::to_string(limit.processors)));
  const Output result = run_unroll("doctor --json");
  EXPECT_EQ(result.status, 0) << result.err;
  const json report = json::parse(result.out);
  // What is missing comes with what to do about it.
  if (!report["cuda"]["module"]["why_not"].is_null()) {
    EXPECT_TRUE(contains(page.out, "; to have it: install NVIDIA's CUDA Toolkit"));
  }
  for (const auto& [name, module] : report["modules"].items()) {
    const std::size_t row = page.out.find("\n" + name + " ");
    ASSERT_NE(row, page.out.npos) << name;
    const std::string line = page.out.substr(row + 1, page.out.find('\n', row + 1) - row);
    const std::string packages = module["packages"];
    EXPECT_EQ(!module["why_not"].is_null(), bool(contains(line, "apt-get install " + packages)));
  }
  EXPECT_EQ(report["cpu"]["processors"], limit.processors);
  EXPECT_EQ(report["cpu"]["processor_limit"].is_null(), limit.group_share == 0);
  EXPECT_EQ(report["cpu"]["memory_limit"].is_null(), memory_limit().group_bytes == 0);
  std::string why;
  const bool gpu = cuda_device_count(&why) > 0;
  EXPECT_EQ(report["auto"]["device"] == "cpu", !gpu);
  EXPECT_EQ(report["auto"]["why_no_gpu"], gpu ? json() : json(why));
  const std::string device = report["auto"]["device"];
  EXPECT_TRUE(contains(page.out, "--device auto  " + device + (gpu ? "," : "; no GPU: " + why)));
  EXPECT_EQ(report["cuda"]["module"]["version"].is_null(),
            !report["cuda"]["module"]["why_not"].is_null());
}

TEST(Device, HasAtMostOneThreadPerProcessor) {
  const int most = processor_limit().processors;
  const std::string used = std::to_string(most) + " thread" + (most == 1 ? "" : "s") + ")";
  for (const int threads : {0, most, most + 1, 4000}) {
    const Output result =
        run_unroll("eval --device cpu --checkpoint none --threads " + std::to_string(threads));
    EXPECT_TRUE(contains(result.err, used)) << result.err;
    EXPECT_EQ(threads > most,
              bool(contains(result.err, "warning: --threads " + std::to_string(threads) + ": ")));
  }
}

TEST(Doctor, NamesAGpu) {
  const Output page = run_script(kEmulated + std::string("unroll doctor"));
  EXPECT_EQ(page.status, 0) << page.err;
  EXPECT_TRUE(contains(page.out, "code for sm_90\n"));
  EXPECT_TRUE(contains(page.out, "NVIDIA driver  supports CUDA 13.0\n"));
  EXPECT_TRUE(
      contains(page.out, "\ncuda:0         CUDA emulated on the CPU, compute capability 9.0"));
  EXPECT_TRUE(contains(page.out, " free: usable\n"));
  EXPECT_TRUE(contains(page.out, "\n--device auto  cuda:0, the first usable GPU\n"));
  const json report = json::parse(run_script(kEmulated + std::string("unroll doctor --json")).out);
  ASSERT_EQ(report["cuda"]["devices"].size(), 1U);
  EXPECT_GT(report["cuda"]["devices"][0]["free_bytes"], 0);
  EXPECT_EQ(report["auto"]["device"], "cuda:0");
}

class EmulatedGpu : public ::testing::Test {
 protected:
  void SetUp() override { folder_.write("text", Grammar::english().sample(1, 150)); }

  /// Trains, in the folder.
  Output train(const std::string& flags, const std::string& environment = "") const {
    return run_script(
        kEmulated + environment + "unroll train --save run --cache-dir cache " + flags,
        folder_.path());
  }
  Output begin(const std::string& flags, const std::string& environment = "") const {
    return train(
        "--data text --nhid 8 --emsize 8 --nlayers 1 --batch-size 4 --bptt 7 --epochs 1 " + flags,
        environment);
  }
  json stored() const {
    return json::parse(read_text(folder_.path() / "run/latest/config.json"))["training"];
  }

  TempFolder folder_;
};

TEST_F(EmulatedGpu, RunsGoOnOnTheCpuAndBack) {
  const Output begun = begin("--precision bf16");
  ASSERT_EQ(begun.status, 0) << begun.err;
  EXPECT_TRUE(begun.err.starts_with("device: cuda:0 (CUDA emulated on the CPU, bf16)\n"));
  EXPECT_EQ(stored()["device"], "cuda (CUDA emulated on the CPU) in bf16");
  EXPECT_EQ(stored()["precision"], "bf16");

  const Output same = train("--resume --epochs 2");
  ASSERT_EQ(same.status, 0) << same.err;
  EXPECT_TRUE(contains(same.err, "device: cuda:0 (CUDA emulated on the CPU, bf16)\n"));
  EXPECT_EQ(same.err.find("warning"), std::string::npos) << same.err;

  const Output on_cpu = train("--resume --epochs 3 --device cpu");
  ASSERT_EQ(on_cpu.status, 0) << on_cpu.err;
  EXPECT_TRUE(contains(on_cpu.err,
                       "warning: the run was begun on cuda (CUDA emulated on the CPU) in bf16: on "
                       "cpu ("));
  EXPECT_TRUE(contains(on_cpu.err, " its results will differ by rounding\n"));
  EXPECT_EQ(stored()["precision"], "bf16");

  const Output still = train("--resume --epochs 4");
  ASSERT_EQ(still.status, 0) << still.err;
  EXPECT_TRUE(still.err.starts_with("device: cpu ("));
  EXPECT_EQ(still.err.find("warning"), std::string::npos) << still.err;

  const Output back = train("--resume --epochs 5 --device cuda");
  ASSERT_EQ(back.status, 0) << back.err;
  EXPECT_TRUE(contains(back.err, ": on cuda (CUDA emulated on the CPU) in bf16 its results"));

  const Output refused = train("--resume --precision fp32");
  EXPECT_EQ(refused.status, 2);
  EXPECT_TRUE(contains(refused.err, "--precision: got fp32, expected bf16: the run was begun"));
}

TEST_F(EmulatedGpu, RunsByOtherAlgorithmsLoseWhatAStepwiseOneLoses) {
  // The losses in the log lines of a run. Sums in another order differ in the seventh digit; a line
  // shows three or four.
  const auto losses = [](const std::string& out) {
    std::vector<double> list;
    for (std::size_t at = 0; (at = out.find("loss ", at)) != out.npos; at += 5)
      list.push_back(std::stod(out.substr(at + 5)));
    return list;
  };
  const std::string flags = "--nlayers 2 --dropout 0.2 --log-interval 10 --rnn-algorithm ";
  const Output stepwise = begin(flags + "stepwise");
  ASSERT_EQ(stepwise.status, 0) << stepwise.err;
  const std::vector<double> expected = losses(stepwise.out);
  ASSERT_GT(expected.size(), 3U) << stepwise.out;
  for (const std::string name :
       {"cudnn:standard", "cudnn:standard:packed", "persistent", "persistent+stepwise:2"}) {
    std::filesystem::remove_all(folder_.path() / "run");
    const Output other = begin(flags + name);
    ASSERT_EQ(other.status, 0) << other.err;
    EXPECT_EQ(stored()["rnn_algorithm_used"], name);
    const std::vector<double> actual = losses(other.out);
    ASSERT_EQ(actual.size(), expected.size()) << other.out;
    for (std::size_t k = 0; k < actual.size(); ++k) EXPECT_NEAR(actual[k], expected[k], 0.02);

    const Output resumed = train("--resume --epochs 2");
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_EQ(stored()["rnn_algorithm_used"], name);
  }
}

// The emulated module, and no stand-in for cuDNN beside it.
TEST_F(EmulatedGpu, WithoutCudnnItIsNamed) {
  const Output result = run_script(
      "mkdir none; : >none/libcudnn.so.9; ln -s " UNROLL_EMULATED_CUDA
      "/libunroll_cuda.so none/; "
      "LD_LIBRARY_PATH=none unroll train --data text --save run --cache-dir cache --device cuda "
      "--rnn-algorithm cudnn",
      folder_.path());
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "unroll: RNN algorithm cudnn: "));
  EXPECT_TRUE(contains(result.err, "libcudnn.so.9"));
  EXPECT_TRUE(contains(
      result.err,
      ", expected cuDNN 9: install it, or use the algorithm stepwise (--rnn-algorithm)\n"));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(EmulatedGpu, WhatDoesNotFitIsOneLine) {
  const Output result = begin("--device cuda", "export UNROLL_EMULATED_MEMORY=34000000; ");
  EXPECT_EQ(result.status, 1);
  const std::string last = result.err.substr(result.err.rfind("unroll: "));
  EXPECT_EQ(std::count(last.begin(), last.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(
      contains(last, "CUDA device 0 (CUDA emulated on the CPU): out of memory: asked for "));
  EXPECT_TRUE(contains(last, " MB of 34 MB are free"));
}

TEST_F(EmulatedGpu, AResumedRunMayTakeAnotherAlgorithm) {
  ASSERT_EQ(begin("--rnn-algorithm persistent").status, 0);
  const Output same = train("--resume --epochs 2");
  EXPECT_EQ(stored()["rnn_algorithm_used"], "persistent");
  EXPECT_EQ(same.err.find("warning"), std::string::npos) << same.err;
  const Output other = train("--resume --epochs 3 --rnn-algorithm stepwise");
  EXPECT_EQ(other.status, 0) << other.err;
  EXPECT_TRUE(contains(other.err,
                       "warning: the run was computed by persistent: by stepwise its results will "
                       "differ by rounding\n"));
  EXPECT_EQ(stored()["rnn_algorithm_used"], "stepwise");
}

// The CPU has one algorithm, and a GPU then goes on by the setting.
TEST_F(EmulatedGpu, ARunByAGpusAlgorithmGoesOnOnTheCpuAndBack) {
  ASSERT_EQ(begin("--rnn-algorithm persistent").status, 0);
  const Output on_cpu = train("--resume --epochs 2 --device cpu");
  EXPECT_EQ(on_cpu.status, 0) << on_cpu.err;
  EXPECT_EQ(stored()["rnn_algorithm"], "persistent");
  EXPECT_EQ(stored()["rnn_algorithm_used"], "stepwise");
  const Output back = train("--resume --epochs 3 --device cuda");
  EXPECT_EQ(back.status, 0) << back.err;
  EXPECT_EQ(stored()["rnn_algorithm_used"], "persistent");
}

// The first trial of the persistent kernels waits for what never comes.
TEST_F(EmulatedGpu, AutoGoesOnWithoutKernelsThatHang) {
  const Output result = begin("", "export UNROLL_EMULATED_LOST_STORE=1; ");
  EXPECT_EQ(result.status, 0) << result.err;
  const std::string said =
      "\nwarning: RNN algorithm persistent+stepwise does not work here and is not used: CUDA "
      "device 0 (CUDA emulated on the CPU): block ";
  ASSERT_TRUE(contains(result.err, said)) << result.err;
  EXPECT_TRUE(contains(result.err, " waited in vain for block "));
  EXPECT_EQ(stored()["rnn_algorithm_used"].get<std::string>().find("persistent+"),
            std::string::npos);
}

TEST_F(EmulatedGpu, AHangingKernelLeavesASoundRun) {
  const Output result = begin("--save-every 20 --rnn-algorithm persistent",
                              "export UNROLL_EMULATED_LOST_STORE=1000; ");
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, " waited in vain for block ")) << result.err;
  EXPECT_TRUE(result.err.ends_with(
      "; the last checkpoint is sound, to go on: unroll train --save run --resume\n"));
  const Output resumed = train("--resume");
  EXPECT_EQ(resumed.status, 0) << resumed.err;
}

TEST_F(EmulatedGpu, ADeviceThatFailsLeavesASoundRun) {
  const Output result =
      begin("--save-every 20 --rnn-algorithm stepwise", "export UNROLL_EMULATED_FAILURE=50; ");
  EXPECT_EQ(result.status, 1);
  const std::string last = result.err.substr(result.err.rfind("unroll: CUDA"));
  EXPECT_EQ(std::count(last.begin(), last.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(contains(last, "unroll: CUDA device 0 (CUDA emulated on the CPU): "));
  EXPECT_TRUE(last.ends_with(
      "; the last checkpoint is sound, to go on: unroll train --save run --resume\n"));
  EXPECT_EQ(result.err.find("unroll: "), result.err.size() - last.size()) << result.err;
  const Output resumed = train("--resume");
  EXPECT_EQ(resumed.status, 0) << resumed.err;
}

}  // namespace
}  // namespace unroll::test

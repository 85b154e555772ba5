/// Damaged or hostile checkpoints. A file is changed and the manifest made anew, so that the file's
/// own reader finds the fault, and not the hash.
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <vector>

#include "host/base/hash.h"
#include "host/base/strict_json.h"
#include "tests/support/bad_input.h"

namespace unroll::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The manifest of the files as they are; `change` may spoil it before its own hash is taken.
void seal(const fs::path& directory, const std::function<void(json&)>& change = {}) {
  const fs::path file = directory / "manifest.json";
  json manifest = json::parse(read_text(file));
  for (auto& [name, entry] : manifest["files"].items()) {
    if (!fs::is_regular_file(directory / name)) continue;
    const std::string text = read_text(directory / name);
    entry = {{"bytes", text.size()}, {"xxh3_128", hash_of(bytes_of(text))}};
  }
  if (change) change(manifest);
  manifest.erase("check");
  manifest["check"] = hash_of(bytes_of(format_json(manifest, "manifest")));
  std::ofstream(file, std::ios::binary) << format_json(manifest, "manifest");
}

/// A safetensors file of any header.
std::string tensors_of(const std::string& header, std::size_t data) {
  const std::uint64_t size = header.size();
  std::string text(reinterpret_cast<const char*>(&size), sizeof size);
  return text + header + std::string(data, '\0');
}
std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& type = "F32") {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

class BadCheckpoints : public BadInputs {
 protected:
  /// Asks for the only copy of the checkpoint in `bad`, in which `spoil` changed something.
  static void expect(const char* name, const std::function<void(const fs::path&)>& spoil,
                     const char* says) {
    fs::remove_all(path("bad"));
    fs::copy(fs::canonical(path("run/best")), path("bad"));
    spoil(path("bad"));
    check({{name, "", "unroll predict --checkpoint bad", 1, says}});
  }
  static void expect_model(const char* name, const std::string& model, const char* says) {
    expect(
        name, [&](const fs::path& at) { write(at / "model.safetensors", model); }, says);
  }
  static void expect_config(const char* name, const std::function<void(json&)>& change,
                            const char* says) {
    const auto spoil = [&](const fs::path& at) {
      json config = json::parse(read_text(at / "config.json"));
      change(config);
      write(at / "config.json", config.dump());
    };
    expect(name, spoil, says);
  }
  /// The sound model with one text in its header replaced by another of the same length.
  static void expect_header(const char* name, const std::string& from, const std::string& to,
                            const char* says) {
    std::string model = read_text(path("run/best/model.safetensors"));
    const std::size_t at = model.find(from);
    ASSERT_NE(at, model.npos);
    ASSERT_EQ(from.size(), to.size());
    expect_model(name, model.replace(at, from.size(), to), says);
  }
  static void write(const fs::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
    seal(file.parent_path());
  }
};

TEST_F(BadCheckpoints, Files) {
  expect(
      "model cut short", [](const fs::path& at) { fs::resize_file(at / "model.safetensors", 99); },
      "model.safetensors: is damaged: got 99 bytes, expected");
  expect(
      "model flipped",
      [](const fs::path& at) {
        std::string model = read_text(at / "model.safetensors");
        model[model.size() / 2] ^= 1;
        std::ofstream(at / "model.safetensors", std::ios::binary) << model;
      },
      "model.safetensors: is damaged: got hash");
  for (const char* file : {"model.safetensors", "config.json", "vocab.txt"}) {
    expect(
        "file missing", [&](const fs::path& at) { fs::remove(at / file); }, "cannot be opened");
    expect(
        "folder for a file",
        [&](const fs::path& at) {
          fs::remove(at / file);
          fs::create_directory(at / file);
        },
        "is not a regular file, expected one");
  }
  expect(
      "manifest missing", [](const fs::path& at) { fs::remove(at / "manifest.json"); },
      "bad: holds no checkpoint: got neither manifest.json nor step-");
  expect(
      "manifest not JSON",
      [](const fs::path& at) { std::ofstream(at / "manifest.json") << "{\"format\": "; },
      "manifest.json: byte 12: not JSON");
  expect(
      "newer format", [](const fs::path& at) { seal(at, [](json& m) { m["version"] = 9; }); },
      "got format version 9, expected at most 1: it was written by a newer version");
  expect(
      "other format", [](const fs::path& at) { seal(at, [](json& m) { m["format"] = "x"; }); },
      "manifest.json: got format 'x', expected 'unroll-checkpoint'");
  expect(
      "file outside",
      [](const fs::path& at) {
        seal(at, [](json& m) { m["files"]["../x"] = m["files"]["config.json"]; });
      },
      "got a file name with a folder");
}

TEST_F(BadCheckpoints, SafetensorsHeaders) {
  expect_model("nothing", "", "is empty, expected a safetensors file");
  expect_model("header of 2^63", std::string(7, '\0') + "\x80{}",
               "got a header of 922337203685477");
  expect_model("not JSON", tensors_of("{\"a\"", 0), "header byte 4: got its end, expected ':'");
  expect_model(
      "two of a name",
      tensors_of("{" + entry("a", "[1]", "[0,4]") + "," + entry("a", "[1]", "[4,8]") + "}", 8),
      "got tensor 'a' again, expected distinct names");
  expect_model(
      "overlap",
      tensors_of("{" + entry("a", "[2]", "[0,8]") + "," + entry("b", "[2]", "[4,12]") + "}", 12),
      "tensor 'b': got data from offset 4, expected from 8: no overlap");
  expect_model(
      "hole",
      tensors_of("{" + entry("a", "[1]", "[0,4]") + "," + entry("b", "[1]", "[8,12]") + "}", 12),
      "tensor 'b': got data from offset 8, expected from 4: no hole");
  expect_model("out of range", tensors_of("{" + entry("a", "[4]", "[0,16]") + "}", 8),
               "got data offsets 0 to 16, expected to lie within 8 bytes of data");
  expect_model("2^64 offset",
               tensors_of("{" + entry("a", "[1]", "[0,18446744073709551616]") + "}", 4),
               "got a number too large, expected less than 2^64");
  expect_model("offsets the wrong way", tensors_of("{" + entry("a", "[1]", "[4,0]") + "}", 4),
               "got data offsets 4 to 0, expected to lie within");
  expect_model("product that wraps",
               tensors_of("{" + entry("a", "[4294967296,4294967296]", "[0,0]") + "}", 0),
               "tensor 'a': got a shape whose bytes are no whole number below 2^63");
  expect_model("shape and data", tensors_of("{" + entry("a", "[3]", "[0,4]") + "}", 4),
               "got 4 bytes of data, expected 12 for its shape and dtype");
  expect_model("unknown type", tensors_of("{" + entry("a", "[1]", "[0,4]", "F99") + "}", 4),
               "got dtype 'F99', expected one of F64, F32");
}

TEST_F(BadCheckpoints, Tensors) {
  expect_header("integers", "\"F32\"", "\"I32\"", "got I32 [");
  expect_header("other name", "decoder.bias", "decoder.bios", "tensor 'decoder.bias' is missing");
  expect_model("none", tensors_of("{}", 0), "tensor 'encoder.weight' is missing");
  expect_header("other shape", "\"shape\":[16,4]", "\"shape\":[4,16]",
                "got F32 [4, 16], expected F32");
  const std::string sound = read_text(path("run/best/model.safetensors"));
  std::uint64_t size = 0;
  std::memcpy(&size, sound.data(), sizeof size);
  std::string header = sound.substr(8, size);
  header.erase(header.rfind('}'));
  const std::size_t data = sound.size() - 8 - size;
  const std::string end = std::to_string(data);
  header += "," + entry("extra", "[1]", "[" + end + "," + std::to_string(data + 4) + "]") + "}";
  expect_model("surplus", tensors_of(header, data + 4), "tensor 'extra' is not one of the model's");
}

/// The model with every value of some tensors replaced.
std::string with_values(std::string model, const std::map<std::string, float>& values) {
  std::uint64_t size = 0;
  std::memcpy(&size, model.data(), sizeof size);
  const json header = json::parse(model.substr(sizeof size, size));
  for (const auto& [name, value] : values) {
    const auto offsets = header.at(name).at("data_offsets").get<std::vector<std::size_t>>();
    for (std::size_t at = offsets[0]; at < offsets[1]; at += sizeof value)
      std::memcpy(model.data() + sizeof size + size + at, &value, sizeof value);
  }
  return model;
}

// Every answer of a command would be NaN.
TEST_F(BadCheckpoints, NotFinite) {
  const std::string sound = read_text(path("run/best/model.safetensors"));
  const auto expect_all = [&](const std::map<std::string, float>& values, const char* on_text,
                              const char* on_token) {
    fs::remove_all(path("bad"));
    fs::copy(path("run"), path("bad"),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    write(path("bad/best/model.safetensors"), with_values(sound, values));
    for (const char* flags : {"", " --json"}) {
      const auto with = [&](const std::string& command) { return command + flags; };
      check(
          {{"eval", "", with("unroll eval --checkpoint bad/best --data data/test.txt"), 1, on_text},
           {"predict", "", with("unroll predict --checkpoint bad/best"), 1, on_token},
           {"predict word", "", with("unroll predict --checkpoint bad/best --word the"), 1,
            on_token},
           {"generate", "", with("unroll generate --checkpoint bad/best"), 1, on_token}});
    }
    check({{"report", "", "unroll report bad", 1, on_token}});
  };
  expect_all({{"decoder.bias", std::numeric_limits<float>::quiet_NaN()}},
             "tensor 'decoder.bias': value 0 of [", "expected finite numbers");
  expect_all({{"rnn.weight_hh_l0", std::numeric_limits<float>::infinity()}},
             "tensor 'rnn.weight_hh_l0': value 0 of [16, 4] is inf", "expected finite numbers");
  // Every weight is finite, and every logit is not: the units are saturated.
  expect_all({{"rnn.bias_ih_l0", 1e30F}, {"decoder.weight", 3e38F}}, "data/test.txt: got loss ",
             "probabilities of the next token that are not numbers");
}

TEST_F(BadCheckpoints, NotFiniteToGoOnFrom) {
  const auto resumed = [](const char* file, const std::string& tensor, float value) {
    fs::remove_all(path("bad"));
    fs::copy(path("run"), path("bad"),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    write(path("bad/latest") / file,
          with_values(read_text(path("run/latest") / file), {{tensor, value}}));
    return script("unroll train --save bad --resume --epochs 2 --cache-dir $CACHE --data data");
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto says = [&](const char* file, const std::string& tensor, const char* expected) {
    const Output result = resumed(file, tensor, nan);
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(contains(error_line(result.err),
                         std::string(file) + ": tensor '" + tensor + "': value 0 of "));
    EXPECT_TRUE(contains(result.err, expected));
  };
  says("model.safetensors", "encoder.weight", "is nan, expected finite numbers");
  says("state.safetensors", "optimizer/encoder.weight/first", "is nan, expected numbers");
  says("state.safetensors", "train/h_l0", "is nan, expected numbers");
  // The loss of a refused step may be NaN, but the mean over applied steps is a number.
  const Output mean = resumed("state.safetensors", "optimizer/statistics", nan);
  EXPECT_EQ(mean.status, 1);
  EXPECT_TRUE(contains(mean.err, "got a loss of mean nan"));
}

// The settings of a run are in config.json a second time, as its flags.
TEST_F(BadCheckpoints, SettingsOfARun) {
  const auto expect_training = [](const char* key, const json& value, const char* says) {
    fs::remove_all(path("bad"));
    fs::copy(path("run"), path("bad"),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    json config = json::parse(read_text(path("bad/latest/config.json")));
    config["training"][key] = value;
    write(path("bad/latest/config.json"), config.dump());
    const Output result = script("unroll train --save bad --resume --cache-dir $CACHE --data data");
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(contains(error_line(result.err), says));
  };
  const std::int64_t many = std::int64_t(1) << 30;
  expect_training("nlayers", many, "config.json: training: --nlayers: got 1073741824, expected");
  expect_training("nhid", {many}, "config.json: training: got another model than that of model");
  expect_training("model", "gru", "config.json: training: got another model than that of model");
  expect_training("tied", "yes", "config.json: training: tied: got \"yes\"");
  EXPECT_EQ(script("unroll train --save run --resume --nlayers 1000000000 --data data").status, 2);
}

TEST_F(BadCheckpoints, Configurations) {
  expect_config(
      "other vocabulary", [](json& c) { c["model"]["vocabulary"] = 7; },
      "tokens, expected 7 as in config.json");
  expect_config(
      "text for a number", [](json& c) { c["model"]["embedding"] = "4"; },
      "config.json: model: embedding: got \"4\", expected a whole number");
  expect_config(
      "fraction", [](json& c) { c["model"]["hidden"] = {1.5}; }, "hidden: units: got 1.5");
  expect_config(
      "no layers", [](json& c) { c["model"]["hidden"] = json::array(); },
      "hidden: got an empty one, expected a list of layer sizes");
  expect_config(
      "number for a text", [](json& c) { c["model"]["cell"] = 3; }, "cell: got 3, expected");
  expect_config(
      "unknown cell", [](json& c) { c["model"]["cell"] = "qrnn"; },
      "cell: got 'qrnn', expected rnn_tanh");
  expect_config(
      "list for an object", [](json& c) { c["model"] = {1}; },
      "model: got an array, expected an object");
  expect_config(
      "list", [](json& c) { c = json::array(); }, "is not a JSON object, expected one");
  expect_config(
      "no tokenizer", [](json& c) { c.erase("tokenizer"); }, "tokenizer is missing");
  expect_config(
      "larger model", [](json& c) { c["model"]["hidden"] = {2000000000}; },
      "expected F32 [8000000000, 4]");
}

// The settings of a run are not part of this command line, so the status is 1.
TEST_F(BadCheckpoints, SettingsThatNoCommandLineAllows) {
  for (const auto& [name, value, says] :
       {std::tuple<std::string, json, const char*>{"nhid", json::array(), "--nhid: got 0 sizes"},
        {"nlayers", std::int64_t(1) << 62, "--nlayers: got 4.6"},
        {"optimizer", "x", "--optimizer: got 'x', expected one of sgd"},
        {"batch_size", 0, "--batch-size: got 0, expected"},
        {"loss_ceiling", -1, "--loss-ceiling: got -1, expected"},
        {"epochs", "x", "epochs: got \"x\", expected a whole number"}}) {
    fs::remove_all(path("bad-run"));
    fs::copy(path("run"), path("bad-run"),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    const fs::path latest = fs::canonical(path("bad-run/latest"));
    json config = json::parse(read_text(latest / "config.json"));
    config["training"][name] = value;
    // The only one, or another would be used instead.
    for (const auto& entry : fs::directory_iterator(path("bad-run")))
      if (entry.is_directory() && !entry.is_symlink() && entry.path() != latest)
        fs::remove_all(entry.path());
    write(latest / "config.json", config.dump());
    check({{name.c_str(), "", "unroll train --save bad-run --resume --epochs 2 --cache-dir $CACHE",
            1, says}});
  }
}

TEST_F(BadCheckpoints, ARunFallsBackAndACheckpointDoesNot) {
  ASSERT_EQ(script("cp -r run two; echo x >>two/best/model.safetensors").status, 0);
  const Output run = script("unroll eval --checkpoint two --data data/test.txt");
  EXPECT_EQ(run.status, 0);
  EXPECT_TRUE(contains(run.err, "warning: "));
  EXPECT_TRUE(contains(run.err, "is damaged"));
  EXPECT_TRUE(contains(run.err, "using step-00000000 instead"));
  check({{"damaged best", "", "unroll eval --checkpoint two/best --data data/test.txt", 1,
          "model.safetensors: is damaged"}});
}

}  // namespace
}  // namespace unroll::test

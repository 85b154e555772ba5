#include "host/train/foreign_tensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <list>

#include "host/train/foreign_vocabulary.h"
#include "host/train/import.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

/// Owns the bytes of tensors that become a file.
class FileMaker {
 public:
  template <typename T>
  void add(const std::string& name, StoredType type, const std::vector<std::int64_t>& shape,
           const std::vector<T>& values) {
    std::vector<std::byte>& bytes = held_.emplace_back(values.size() * sizeof(T));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    tensors_.push_back({name, type, shape, std::span<const std::byte>(bytes)});
  }
  /// One number, which tells the tensor.
  void add(const std::string& name, float value) {
    add<float>(name, StoredType::kF32, {1}, {value});
  }
  SafetensorsFile file(const TensorMetadata& metadata = {}) const {
    const TempFolder folder;
    write_safetensors(folder.path() / "w", tensors_, metadata);
    return SafetensorsFile::read(folder.path() / "w");
  }

 private:
  std::list<std::vector<std::byte>> held_;
  std::vector<TensorData> tensors_;
};

std::vector<float> values_of(const TensorData& tensor) {
  const std::vector<std::byte> bytes = tensor.bytes.all();
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

/// Our names of tensors with these names, with the tensor's number after each.
std::vector<std::string> names_of(const std::vector<std::string>& names,
                                  const TensorNameMap& map = {}) {
  FileMaker maker;
  for (std::size_t k = 0; k < names.size(); ++k) maker.add(names[k], float(k));
  const SafetensorsFile file = maker.file();
  const ForeignTensors tensors(file, "w", map);
  std::vector<std::string> ours;
  for (const TensorData& tensor : tensors.tensors()) {
    ours.push_back(tensor.name + " " + std::to_string(int(values_of(tensor).at(0))));
    EXPECT_EQ(tensors.find(tensor.name), &tensor);
  }
  EXPECT_EQ(tensors.find("gone"), nullptr);
  return ours;
}
std::string name_error(const std::vector<std::string>& names, const TensorNameMap& map = {}) {
  return error_of<std::runtime_error>([&] { names_of(names, map); });
}
using TensorNames = std::vector<std::string>;

TEST(ForeignTensors, LeaveOutWrappersAtTheBeginning) {
  EXPECT_EQ(
      names_of({"module.encoder.weight", "_orig_mod.decoder.bias", "model.rnn.bias_ih_l0",
                "module._orig_mod.model.decoder.weight"}),
      (TensorNames{"decoder.bias 1", "decoder.weight 3", "encoder.weight 0", "rnn.bias_ih_l0 2"}));
  EXPECT_EQ(names_of({"models.x", "modul.e", "my.module.x"}),
            (TensorNames{"models.x 0", "modul.e 1", "my.module.x 2"}));
}

TEST(ForeignTensors, MapBeginningsUpToAPointOrTheEnd) {
  EXPECT_EQ(
      names_of({"lstm.weight_ih_l0", "lstm2.bias", "fc.bias", "emb"},
               {{"lstm", "rnn"}, {"fc", "decoder"}, {"emb", "encoder.weight"}}),
      (TensorNames{"decoder.bias 2", "encoder.weight 3", "lstm2.bias 1", "rnn.weight_ih_l0 0"}));
  // Before a wrapper is left out, and after it.
  EXPECT_EQ(names_of({"module.lstm.bias_ih_l0"}, {{"lstm", "rnn"}}),
            (TensorNames{"rnn.bias_ih_l0 0"}));
  EXPECT_EQ(names_of({"model.lstm.bias_ih_l0"}, {{"model.lstm", "rnn"}}),
            (TensorNames{"rnn.bias_ih_l0 0"}));
  EXPECT_EQ(name_error({"lstm.bias"}, {{"ls", "rnn"}}),
            "w: no tensor's name begins with 'ls' up to a point or its end, expected one to map");
  EXPECT_EQ(name_error({"fc.bias", "module.decoder.bias"}, {{"fc", "decoder"}}),
            "w: tensors 'fc.bias' and 'module.decoder.bias': both are 'decoder.bias' here, "
            "expected one");
}

TEST(ForeignTensors, MakeOneStackOfAwdLstmsNetworks) {
  EXPECT_EQ(names_of({"rnns.0.module.weight_hh_l0_raw", "rnns.0.module.weight_ih_l0",
                      "rnns.12.weight_hh_l0", "rnn.module.bias_hh_l3"}),
            (TensorNames{"rnn.bias_hh_l3 3", "rnn.weight_hh_l0 0", "rnn.weight_hh_l12 2",
                         "rnn.weight_ih_l0 1"}));
  // Beside what is trained there may be a copy of which parts are dropped.
  EXPECT_EQ(names_of({"rnns.1.weight_hh_l0_raw", "rnns.1.module.weight_hh_l0"}),
            (TensorNames{"rnn.weight_hh_l1 0"}));
  EXPECT_EQ(
      names_of({"rnns.1.module.weight_hh_l1", "rnns.x.bias_l0", "rnns.2", "x_raw"}),
      (TensorNames{"rnns.1.module.weight_hh_l1 0", "rnns.2 2", "rnns.x.bias_l0 1", "x_raw 3"}));
}

TEST(ForeignTensors, NotesAndErrorsSayBothNames) {
  FileMaker maker;
  maker.add("rnns.0.weight_hh_l0_raw", 1);
  maker.add("rnns.0.module.weight_hh_l0", 2);
  maker.add("plain", 3);
  const SafetensorsFile file = maker.file({{"model.a", "plain"}, {"model.note", "text"}});
  const ForeignTensors tensors(file, "w", {});
  EXPECT_EQ(tensors.shown("rnn.weight_hh_l0"),
            "'rnns.0.weight_hh_l0_raw' ('rnn.weight_hh_l0' here)");
  EXPECT_EQ(tensors.shown("plain"), "'plain'");
  ASSERT_EQ(tensors.notes().size(), 2U);
  EXPECT_EQ(tensors.notes()[0],
            "'rnns.0.module.weight_hh_l0' is left out: rnn.weight_hh_l0_raw has it before weights "
            "are dropped");
  EXPECT_EQ(tensors.notes()[1], "2 of 3 tensors have other names here");
  EXPECT_EQ(tensors.metadata().at("a"), "plain") << "an alias";
  EXPECT_EQ(tensors.metadata().at("model.note"), "text") << "none";
}

/// The value of a float16 by its definition in IEEE 754.
double half_by_definition(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31)
    return fraction ? std::numeric_limits<double>::quiet_NaN()
                    : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * fraction / 1024.0 * std::pow(2.0, -14);
  return sign * (1 + fraction / 1024.0) * std::pow(2.0, exponent - 15);
}

TEST(ForeignTensors, EveryHalfIsConvertedExactly) {
  std::vector<std::uint16_t> halves(1 << 16);
  for (std::size_t k = 0; k < halves.size(); ++k) halves[k] = std::uint16_t(k);
  FileMaker maker;
  maker.add("h", StoredType::kF16, {1 << 16}, halves);
  maker.add("b", StoredType::kBf16, {1 << 16}, halves);
  const SafetensorsFile file = maker.file();
  const ForeignTensors tensors(file, "w", {});
  const std::vector<float> half = values_of(*tensors.find("h")),
                           bf16 = values_of(*tensors.find("b"));
  ASSERT_EQ(half.size(), halves.size());
  for (std::size_t k = 0; k < halves.size(); ++k) {
    const double expected = half_by_definition(halves[k]);
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(half[k])) << k;
    else
      EXPECT_EQ(std::bit_cast<std::uint32_t>(half[k]),
                std::bit_cast<std::uint32_t>(float(expected)))
          << k;
    EXPECT_EQ(std::bit_cast<std::uint32_t>(bf16[k]), std::uint32_t(k) << 16);
  }
  EXPECT_EQ(tensors.find("h")->type, StoredType::kF32);
  EXPECT_EQ(tensors.conversions(),
            (TensorNames{"1 tensors of F16 are F32 here: every number as it was",
                         "1 tensors of BF16 are F32 here: every number as it was"}));
}

TEST(ForeignTensors, ADoubleIsRoundedAndSaidSo) {
  FileMaker maker;
  maker.add<double>("d", StoredType::kF64, {4}, {0.5, 1.0 / 3, 1e-60, -2});
  const SafetensorsFile file = maker.file();
  const ForeignTensors tensors(file, "w", {});
  EXPECT_EQ(values_of(*tensors.find("d")), (std::vector<float>{0.5F, 1.0F / 3, 0, -2}));
  EXPECT_EQ(
      tensors.conversions(),
      TensorNames{"1 tensors of F64 are F32 here: 2 of 4 numbers are rounded to the nearest"});
  FileMaker exact;
  exact.add<double>("d", StoredType::kF64, {2}, {0.5, 1e30F});
  const SafetensorsFile other = exact.file();
  EXPECT_EQ(ForeignTensors(other, "w", {}).conversions(),
            TensorNames{"1 tensors of F64 are F32 here: every number as it was"});
}

/// Pieces of a converted tensor begin where pieces of float32 do.
TEST(ForeignTensors, ConvertsTensorsOfSeveralPieces) {
  const std::int64_t count = TensorBytes::kPieceBytes / 4 + 1000;
  std::vector<double> values;
  for (std::int64_t k = 0; k < count; ++k) values.push_back(double(k % 4093));
  FileMaker maker;
  maker.add("d", StoredType::kF64, {count}, values);
  const SafetensorsFile file = maker.file();
  const ForeignTensors tensors(file, "w", {});
  std::int64_t at = 0;
  tensors.find("d")->bytes.for_each_piece([&](std::span<const std::byte> piece) {
    for (std::size_t k = 0; k < piece.size(); k += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, piece.data() + k, sizeof value);
      ASSERT_EQ(value, float(at % 4093));
      ++at;
    }
  });
  EXPECT_EQ(at, count);
}

/// An AWD-LSTM of one word more than units, as its state_dict has it.
TEST(ForeignTensors, AnAwdLstmIsImported) {
  FileMaker maker;
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    maker.add(name, StoredType::kF32, shape,
              std::vector<float>(std::size_t(count), float(name.size())));
  };
  add("encoder.weight", {6, 3});
  for (const std::string layer : {"0", "1"}) {
    const std::int64_t units = layer == "0" ? 5 : 3, inputs = layer == "0" ? 3 : 5;
    const std::string module = "rnns." + layer + ".module.";
    add(module + "weight_ih_l0", {4 * units, inputs});
    add(module + "weight_hh_l0_raw", {4 * units, units});
    add(module + "bias_ih_l0", {4 * units});
    add(module + "bias_hh_l0", {4 * units});
  }
  add("decoder.weight", {6, 3});
  add("decoder.bias", {6});
  const ImportedModel model = import_weights(maker.file(), "w", {}, cpu(1));
  EXPECT_EQ(model.config.hidden, (std::vector<std::int64_t>{5, 3}));
  EXPECT_EQ(model.config.cell, CellKind::kLstm);
  EXPECT_EQ(model.store->read<float>("rnn.weight_hh_l1"), std::vector<float>(36, 30));
}

TEST(ForeignTensors, AOneHotModelHasAsManyInputsAsTokens) {
  const auto made = [](std::int64_t units) {
    FileMaker maker;
    const auto add = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
      std::int64_t count = 1;
      for (const std::int64_t size : shape) count *= size;
      maker.add(name, StoredType::kF32, shape, std::vector<float>(std::size_t(count), 0.5F));
    };
    add("rnn.weight_ih_l0", {4 * units, 7});
    add("rnn.weight_hh_l0", {4 * units, units});
    add("rnn.bias_ih_l0", {4 * units});
    add("rnn.bias_hh_l0", {4 * units});
    add("decoder.weight", {7, units});
    add("decoder.bias", {7});
    return import_weights(maker.file(), "w", {}, cpu(1));
  };
  const ImportedModel model = made(5);
  EXPECT_EQ(model.config.embedding, 0);
  EXPECT_EQ(model.config.vocabulary, 7);
  EXPECT_EQ(model.notes,
            TensorNames{"w has no encoder.weight, and 7 inputs: one for each token, one-hot"});
  // It may be tied, and one of the two was not saved.
  EXPECT_TRUE(error_of<std::runtime_error>([&] { made(7); }).find("if the two are tied") !=
              std::string::npos);
}

TEST(ForeignVocabulary, GetsOurNamesAndLineEnds) {
  const auto ours = [](const std::string& text, const SpecialTokens& special,
                       TokenizerKind kind = TokenizerKind::kWord) {
    return our_vocabulary(text, kind, special, "v");
  };
  EXPECT_EQ(ours("a\r\n<unk>\r\n<eos>", {}), "a\n<unk>\n<eos>\n");
  EXPECT_EQ(ours("[UNK]\n</s>\na\n", {"[UNK]", "</s>"}), "<unk>\n<eos>\na\n");
  EXPECT_EQ(ours("?\n|\na\n", {"?", "|"}, TokenizerKind::kChar), "<unk>\n\\n\na\n");
  EXPECT_EQ(error_of<std::runtime_error>([&] {
              ours("a\nb\n", {"u", ""});
            }),
            "v: no line is 'u', expected one that stands for <unk>");
  EXPECT_EQ(error_of<std::runtime_error>([&] {
              ours("u\nb\n", {"u", "u"});
            }),
            "v: no line is 'u', expected one that stands for <eos>");
}

}  // namespace
}  // namespace unroll::test

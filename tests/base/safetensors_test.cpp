#include "host/base/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

std::vector<std::byte> to_bytes(std::string_view text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

std::string length_prefix(std::uint64_t length) {
  std::string text(sizeof length, '\0');
  std::memcpy(text.data(), &length, sizeof length);
  return text;
}

std::string repeated(std::size_t count, char c) {
  std::string text;
  text.resize(count, c);
  return text;
}

/// A file with this header followed by `data` bytes.
std::vector<std::byte> file(const std::string& header, std::size_t data = 0) {
  return to_bytes(length_prefix(header.size()) + header + std::string(data, '\1'));
}

std::string file_error(std::vector<std::byte> bytes) {
  return error_of<std::runtime_error>([&] { SafetensorsFile::parse(std::move(bytes), "x.st"); });
}

std::string header_error(const std::string& header, std::size_t data = 0) {
  return file_error(file(header, data));
}

std::string tensor(const std::string& name, const std::string& type, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + shape +
         "],\"data_offsets\":[" + offsets + "]}";
}

constexpr const char* kFine = "no exception";

TEST(Safetensors, ReadsEveryType) {
  const std::string header =
      "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"\"}," + tensor("a", "F64", "2", "0,16") +
      "," + tensor("b", "F32", "1,2", "16,24") + "," + tensor("c", "I64", "", "24,32") + "," +
      tensor("d", "I32", "1", "32,36") + "," + tensor("e", "F16", "1", "36,38") + "," +
      tensor("f", "BF16", "1", "38,40") + "," + tensor("g", "U8", "3", "40,43") + "}";
  const auto read = SafetensorsFile::parse(file(header, 43), "x.st");
  EXPECT_EQ(read.names(), (std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g"}));
  ASSERT_NE(read.find("b"), nullptr);
  EXPECT_EQ(read.find("b")->type, StoredType::kF32);
  EXPECT_EQ(read.find("b")->shape, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(read.find("b")->bytes.size(), 8U);
  EXPECT_TRUE(read.find("c")->shape.empty());
  EXPECT_EQ(read.find("z"), nullptr);
  EXPECT_EQ(read.metadata(), (TensorMetadata{{"format", "pt"}, {"note", ""}}));
}

// The reader of a tensor decides what it accepts: no type of the format makes a file bad.
TEST(Safetensors, KnowsEveryTypeOfTheFormat) {
  const std::vector<std::pair<std::string, int>> bits = {
      {"F64", 64},    {"F32", 32},    {"F16", 16},        {"BF16", 16},       {"I64", 64},
      {"I32", 32},    {"I16", 16},    {"I8", 8},          {"U64", 64},        {"U32", 32},
      {"U16", 16},    {"U8", 8},      {"BOOL", 8},        {"C64", 64},        {"F8_E4M3", 8},
      {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6},
      {"F6_E3M2", 6}, {"F4", 4}};
  for (const auto& [name, size] : bits) {
    SCOPED_TRACE(name);
    const std::size_t bytes = 4 * std::size_t(size) / 8;
    const auto read = SafetensorsFile::parse(
        file("{" + tensor("a", name, "2,2", "0," + std::to_string(bytes)) + "}", bytes), "x.st");
    EXPECT_EQ(stored_type_name(read.find("a")->type), name);
    EXPECT_EQ(header_error("{" + tensor("a", name, "2,2", "0," + std::to_string(bytes + 1)) + "}",
                           bytes + 1),
              "x.st: tensor 'a': got " + std::to_string(bytes + 1) + " bytes of data, expected " +
                  std::to_string(bytes) + " for its shape and dtype");
  }
  EXPECT_TRUE(
      contains(header_error("{" + tensor("a", "F4", "3", "0,2") + "}", 2), "no whole number"));
  EXPECT_TRUE(
      contains(header_error("{" + tensor("a", "F6_E2M3", "9223372036854775807", "0,2") + "}", 2),
               "no whole number"));
  EXPECT_TRUE(contains(header_error("{" + tensor("a", "F5", "1", "0,1") + "}", 1),
                       "got dtype 'F5', expected one of F64, F32, "));
}

TEST(Safetensors, ReadsPieceByPiece) {
  const TempFolder folder;
  std::vector<std::int64_t> numbers(TensorBytes::kPieceBytes / 8 + 3);
  std::iota(numbers.begin(), numbers.end(), 1);
  const TensorData tensor{
      "w", StoredType::kI64, {std::ssize(numbers)}, std::as_bytes(std::span(numbers))};
  write_safetensors(folder.path() / "a", {&tensor, 1});
  const auto read = SafetensorsFile::read(folder.path() / "a");
  std::vector<std::size_t> pieces;
  read.find("w")->bytes.for_each_piece([&](auto piece) { pieces.push_back(piece.size()); });
  EXPECT_EQ(pieces, (std::vector<std::size_t>{TensorBytes::kPieceBytes, 24}));
  EXPECT_TRUE(read.find("w")->bytes == tensor.bytes);
  numbers.back() = 0;  // in the last piece
  EXPECT_FALSE(read.find("w")->bytes == tensor.bytes);
  std::filesystem::resize_file(folder.path() / "a", 1000);
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { read.find("w")->bytes.all(); }),
                       "a: cannot be read to its end"));
}

TEST(Safetensors, CallsOtherFormatsByTheirNames) {
  using std::string_literals::operator""s;
  const auto zip = [](const std::string& name) {
    return "PK\3\4\0\0\10\10"s + std::string(18, '\0') + char(name.size()) + std::string(3, '\0') +
           name;
  };
  const std::string rest(600, '\1');
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
       "is a git-lfs pointer"},
      {"\x80\2\x8a\nl\xfc\x9c" + rest, "is a pickle, as torch.save() writes"},
      {zip("archive/data.pkl") + rest, "is a pickle, as torch.save() writes"},
      {zip("arr_0.npy") + rest, "is a NumPy archive"},
      {zip("metadata.json") + rest, "is a Keras model"},
      {zip("docs/page.html") + rest, "is a ZIP archive;"},
      {"PK\5\6" + std::string(18, '\0'), "is a ZIP archive;"},
      {"\x89HDF\r\n\x1a\n" + rest, "is an HDF5 file"},
      {"GGUF\3\0\0\0"s + rest, "is a GGUF file"},
      {"\x93NUMPY\1\0v\0{'descr': "s + rest, "is a NumPy array"},
      {"\x1c\0\0\0TFL3"s + rest, "is a TensorFlow Lite model"},
      {"\x8\x8\x12\7pytorch\x1a" + rest, "is an ONNX model"},
      {"\x1f\x8b\x8\0\1\2\3\4"s + rest, "is compressed by gzip"},
      {"BZh91AY&SY" + rest, "is compressed by bzip2"},
      {"\xFD"
       "7zXZ\0\0\4"s +
           rest,
       "is compressed by xz"},
      {"\x28\xB5\x2F\xFD\4\1\2\3" + rest, "is compressed by zstd"},
      {"model.safetensors" + std::string(240, '\0') + "ustar" + rest, "is a tar archive"},
      {"\xFF\xFEw\0o\0r\0d\0"s, "is text in UTF-16"},
      {R"({"metadata":{"total_size":1},"weight_map":{"a":"model-00001-of-00002.safetensors"}})",
       "is the index of a model in several files"},
      {R"({"architectures": ["LSTM"]})", "is JSON;"},
      {"[1, 2]   ", "is JSON;"},
      {"\n<!DOCTYPE html><title>404</title>", "is an HTML page"},
      {"some words\n", "is plain text;"},
      {"na\xC3\xAFve words", "is plain text;"},
      {"words", "is plain text;"}};
  for (const auto& [content, says] : cases) {
    EXPECT_TRUE(contains(file_error(to_bytes(content)), "x.st: " + says)) << content.substr(0, 20);
    EXPECT_TRUE(contains(file_error(to_bytes(content)), "; expected a safetensors file"));
  }
  // A length of 640 looks like the beginning of a pickle, one of 35,615 like that of gzip.
  EXPECT_EQ(header_error("{}" + std::string(638, ' ')), kFine);
  EXPECT_EQ(header_error("{}" + std::string(35'613, ' ')), kFine);
  EXPECT_TRUE(contains(file_error(to_bytes("\xC0\1\2\3\4\5\6\7\x8" + rest)), "got a header of"));
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_EQ(header_error("{}"), kFine);
  EXPECT_EQ(header_error("  \n\t\r{}"), kFine);  // leading blanks
  EXPECT_EQ(header_error("{}      "), kFine);    // padding
  EXPECT_EQ(header_error("{\"__metadata__\":{}}"), kFine);
  EXPECT_EQ(header_error("{ \"a\" : { \"data_offsets\" : [ 0 , 4 ] , \"shape\" : [ 1 ] ,"
                         " \"dtype\" : \"F32\" } }",
                         4),
            kFine);
  EXPECT_EQ(header_error("{" + tensor("a", "F32", "0,7", "0,0") + "}"), kFine);  // an empty tensor
  EXPECT_EQ(
      header_error("{" + tensor("e", "F32", "0", "4,4") + "," + tensor("a", "F32", "1", "0,4") +
                       "," + tensor("f", "F32", "0", "0,0") + "}",
                   4),
      kFine);  // any order, empty ones at either end
  EXPECT_EQ(header_error("{" + tensor("__metadata__2", "U8", "", "0,1") + "}", 1), kFine);

  const auto read = SafetensorsFile::parse(
      file(R"({"__metadata__":{"k\u00e9\n\"\\\/\b\f\r\t":"\uD83D\uDE00 \uFFFD"}})"), "x.st");
  EXPECT_EQ(read.metadata(),
            (TensorMetadata{{"k\xC3\xA9\n\"\\/\b\f\r\t", "\xF0\x9F\x98\x80 \xEF\xBF\xBD"}}));
}

TEST(Safetensors, RejectsBadLengths) {
  EXPECT_TRUE(contains(file_error(to_bytes("")), "x.st: is empty, expected a safetensors file"));
  EXPECT_TRUE(contains(file_error(to_bytes(length_prefix(3).substr(0, 7))), "got 7 bytes"));
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{100'000'001}, std::uint64_t{1} << 63,
        std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max() - 7})
    EXPECT_TRUE(contains(file_error(to_bytes(length_prefix(length) + "{}")), "got a header of"))
        << length;
  EXPECT_TRUE(contains(file_error(to_bytes(std::string(1000, '\0'))), "got a header of 0 bytes"));
  EXPECT_TRUE(contains(file_error(to_bytes(length_prefix(1) + "{}")), "header byte 1"));
  // The format's limit holds even if the file has that many bytes.
  EXPECT_TRUE(contains(header_error(repeated(100'000'001, ' ')), "expected at most 100000000"));
}

TEST(Safetensors, RejectsWhatIsNotJson) {
  const std::string a = tensor("a", "U8", "1", "0,1");
  using std::string_literals::operator""s;
  const std::vector<std::string> headers = {"   ",
                                            "{",
                                            "}",
                                            "[]",
                                            "null",
                                            "\"a\"",
                                            "{}{}",
                                            "{}x",
                                            "{,}",
                                            "{" + a + ",}",
                                            "{" + a + " " + a + "}",
                                            "{" + a,
                                            "{a:1}",
                                            "{'a':1}",
                                            "{\"a\"}",
                                            "{\"a\":}",
                                            "{\"a",
                                            "{\"a\\",
                                            "{\"a\\u00",
                                            "\xEF\xBB\xBF{}",
                                            "{}\0"s,
                                            "\0{}"s,
                                            "{}//",
                                            "{/**/}",
                                            "{\"a\n\":1}",
                                            "{\"\xFF\":1}",
                                            "{\"\xED\xA0\x80\":1}"};
  for (const std::string& header : headers)
    EXPECT_TRUE(contains(header_error(header, 1), "x.st: header byte")) << header;
  for (const std::string escape : {"\\x", "\\u12g4", "\\uD800", "\\uD800x", "\\uD800\\n",
                                   "\\uD800\\u0041", "\\uDC00", "\\u0000", "\\U0041"})
    EXPECT_TRUE(
        contains(header_error("{\"__metadata__\":{\"" + escape + "\":\"\"}}"), "x.st: header byte"))
        << escape;
}

TEST(Safetensors, RejectsWrongFields) {
  for (const char* value : {"1",
                            "null",
                            "[]",
                            "\"F32\"",
                            "{}",
                            "{\"dtype\":\"U8\"}",
                            R"({"dtype":"U8","shape":[1]})",
                            R"({"dtype":"U8","data_offsets":[0,1]})",
                            R"({"shape":[1],"data_offsets":[0,1]})",
                            R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"extra":1})",
                            R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"shape":[1]})",
                            R"({"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]})",
                            R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"nested":{"a":{}}})",
                            R"({"dtype":"U7","shape":[1],"data_offsets":[0,1]})",
                            R"({"dtype":"u8","shape":[1],"data_offsets":[0,1]})",
                            R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})",
                            R"({"dtype":["U8"],"shape":[1],"data_offsets":[0,1]})",
                            R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})",
                            R"({"dtype":"U8","shape":[[1]],"data_offsets":[0,1]})",
                            R"({"dtype":"U8","shape":{"0":1},"data_offsets":[0,1]})",
                            R"({"dtype":"U8","shape":[1],"data_offsets":[]})",
                            R"({"dtype":"U8","shape":[1],"data_offsets":[0]})",
                            R"({"dtype":"U8","shape":[1],"data_offsets":[0,1,1]})",
                            R"({"dtype":"U8","shape":[1],"data_offsets":"0,1"})"})
    EXPECT_TRUE(
        contains(header_error("{\"a\":" + std::string(value) + "}", 1), "x.st: header byte"))
        << value;
  for (const char* value : {"1", "[]", "\"pt\"", "null", "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}",
                            "{\"a\":\"\",\"a\":\"\"}", "{\"a\":\"\",\"\\u0061\":\"\"}"})
    EXPECT_TRUE(
        contains(header_error("{\"__metadata__\":" + std::string(value) + "}"), "header byte"))
        << value;
}

TEST(Safetensors, RejectsDuplicates) {
  const std::string a = tensor("a", "U8", "1", "0,1");
  EXPECT_TRUE(contains(header_error("{" + a + "," + tensor("a", "U8", "1", "1,2") + "}", 2),
                       "tensor 'a' again"));
  EXPECT_TRUE(contains(header_error("{" + a + "," + tensor("\\u0061", "U8", "1", "1,2") + "}", 2),
                       "tensor 'a' again"));
  EXPECT_TRUE(
      contains(header_error(R"({"__metadata__":{},"__metadata__":{}})"), "second __metadata__"));
}

TEST(Safetensors, RejectsNumbersThatAreNotPlain) {
  for (const char* number :
       {"-1", "-0", "+1", "1.0", "1e0", "1E0", "01", "00", "0x1", "1_", "", " ", "NaN", "Infinity",
        "true", "null", "\"1\"", "18446744073709551616", "99999999999999999999999999999999"}) {
    EXPECT_NE(header_error("{" + tensor("a", "U8", "1," + std::string(number), "0,1") + "}", 1),
              kFine)
        << number;
    EXPECT_NE(header_error("{" + tensor("a", "U8", "1", "0," + std::string(number)) + "}", 1),
              kFine)
        << number;
  }
  EXPECT_TRUE(contains(header_error("{" + tensor("a", "U8", "1,-1", "0,1") + "}", 1),
                       "got '-', expected a non-negative whole number"));
}

TEST(Safetensors, RejectsProductsThatWrap) {
  for (const char* shape :
       {"9223372036854775808", "18446744073709551615", "9223372036854775807,2",
        "4294967296,4294967296", "4294967296,4294967296,0", "0,4294967296,4294967296",
        "2305843009213693952,4", "4611686018427387904,4", "2,2,2,2,2,2,2,1152921504606846976"}) {
    EXPECT_NE(header_error("{" + tensor("a", "F32", shape, "0,0") + "}"), kFine) << shape;
    EXPECT_NE(header_error("{" + tensor("a", "F32", shape, "0,4") + "}", 4), kFine) << shape;
  }
  EXPECT_TRUE(contains(header_error("{" + tensor("a", "F32", "4611686018427387904", "0,0") + "}"),
                       "no whole number below 2^63"));
}

TEST(Safetensors, RejectsOffsetsThatDoNotTile) {
  const auto two = [](const std::string& first, const std::string& second, std::size_t data) {
    return header_error(
        "{" + tensor("a", "U8", "2", first) + "," + tensor("b", "U8", "2", second) + "}", data);
  };
  EXPECT_EQ(two("0,2", "2,4", 4), kFine);
  EXPECT_EQ(two("2,4", "0,2", 4), kFine);
  EXPECT_TRUE(contains(two("0,2", "1,3", 3), "no overlap"));
  EXPECT_TRUE(contains(two("0,2", "0,2", 2), "no overlap"));
  EXPECT_TRUE(contains(two("0,2", "3,5", 5), "no hole"));
  EXPECT_TRUE(contains(two("1,3", "3,5", 5), "no hole"));  // before the first
  EXPECT_TRUE(contains(two("0,2", "2,4", 5), "got 5 bytes of data, expected 4"));
  EXPECT_TRUE(contains(two("0,2", "2,4", 3), "expected to lie within 3 bytes"));  // truncated
  EXPECT_TRUE(contains(two("2,0", "2,4", 4), "x.st: tensor"));
  EXPECT_TRUE(contains(two("0,2", "18446744073709551614,18446744073709551615", 4), "x.st: tensor"));
  EXPECT_TRUE(contains(header_error("{}", 1), "got 1 bytes of data, expected 0"));
  EXPECT_TRUE(contains(
      header_error("{" + tensor("e", "U8", "0", "1,1") + "," + tensor("a", "U8", "2", "0,2") + "}",
                   2),
      "no overlap"));  // an empty tensor inside another
}

TEST(Safetensors, RejectsSizesThatDisagreeWithTheType) {
  for (const auto& [type, bytes] :
       {std::pair("F64", 8), std::pair("F32", 4), std::pair("F16", 2), std::pair("BF16", 2),
        std::pair("I64", 8), std::pair("I32", 4), std::pair("U8", 1)}) {
    const auto with = [type = type](int size) {
      return header_error("{" + tensor("a", type, "3", "0," + std::to_string(size)) + "}",
                          static_cast<std::size_t>(size));
    };
    EXPECT_EQ(with(3 * bytes), kFine);
    EXPECT_TRUE(contains(with(3 * bytes - 1), "bytes of data, expected"));
    EXPECT_TRUE(contains(with(3 * bytes + 1), "bytes of data, expected"));
  }
}

// Linear in the file: a second or two. A quadratic reader would take hours, and ctest would end it.
TEST(Safetensors, BoundsWhatAHeaderCanCost) {
  for (const char* open : {"[", "{\"a\":", "{\"__metadata__\":{\"a\":"}) {
    std::string nested;
    while (nested.size() < 5'000'000) nested += open;
    EXPECT_TRUE(contains(header_error(nested), "header byte"));
  }
  std::string ones = "1";
  while (ones.size() < 2'000'000) ones += ",1";
  EXPECT_TRUE(contains(header_error("{" + tensor("a", "U8", ones, "0,1") + "}", 1), "at most 64"));
  EXPECT_TRUE(
      contains(header_error("{" + tensor(repeated(50'000'000, 'n'), "U8", "1", "0,1") + "}", 1),
               "expected at most 4096"));
  std::string tensors, keys;
  for (int k = 0; k < 140'000; ++k) {
    tensors += (k ? "," : "{") + tensor(std::to_string(k), "U8", "0", "0,0");
    keys += (k ? ",\"" : "{\"") + std::to_string(k) + "\":\"\"";
  }
  EXPECT_TRUE(contains(header_error(tensors + "}"), "at most 131072"));
  EXPECT_TRUE(contains(header_error("{\"__metadata__\":" + keys + "}}"), "at most 65536"));
}

TEST(Safetensors, ErrorsStayOnOneShortLine) {
  const std::string name = "new\\nline" + std::string(3'000, 'x');
  const std::string text = header_error("{" + tensor(name, "U8", "2", "0,1") + "}", 1);
  EXPECT_TRUE(contains(text, "tensor 'new\\x0aline"));
  EXPECT_LT(text.size(), 200U);
}

// No prefix of a file is a file. After any change of a byte the reader either reads the file or
// throws std::runtime_error, and the tensors that it reads cover the data without gaps.
TEST(Safetensors, SurvivesTruncationAndByteErrors) {
  const std::vector<float> values(6, 1.5F);
  const TensorData weight{"w", StoredType::kF32, {2, 3}, std::as_bytes(std::span(values))};
  const TensorData scalar{"s", StoredType::kF32, {}, std::as_bytes(std::span(values)).first(4)};
  const SafetensorsImage image = make_safetensors(std::vector{weight, scalar}, {{"k", "v"}});
  std::vector<std::byte> whole = to_bytes(image.header);
  for (const TensorBytes& bytes : image.data) std::ranges::copy(bytes.all(), back_inserter(whole));
  ASSERT_EQ(file_error(whole), kFine);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(
        file_error(std::vector(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))),
        kFine);
  for (std::size_t k = 0; k < image.header.size(); ++k)
    for (int value = 0; value < 256; ++value) {
      std::vector<std::byte> changed = whole;
      changed[k] = static_cast<std::byte>(value);
      EXPECT_NE(file_error(std::move(changed)), "another exception");
    }
}

TEST(Safetensors, WritesWhatItReads) {
  const TempFolder folder;
  const std::vector<double> doubles = {1, 2, 3};
  const std::vector<std::int64_t> longs = {-1};
  const std::vector<std::uint8_t> octets = {1, 2, 3, 4, 5};
  const std::vector<float> floats = {0.5F, -0.5F};
  std::vector<TensorData> tensors = {
      {"octets", StoredType::kU8, {5}, std::as_bytes(std::span(octets))},
      {"na\xC3\xAFve \"name\"\n", StoredType::kF32, {1, 2}, std::as_bytes(std::span(floats))},
      {"longs", StoredType::kI64, {}, std::as_bytes(std::span(longs))},
      {"doubles", StoredType::kF64, {3}, std::as_bytes(std::span(doubles))},
      {"nothing", StoredType::kBf16, {0, 4}, {}}};
  write_safetensors(folder.path() / "a", tensors, {{"z", "\\"}, {"a", "b"}});
  const auto read = SafetensorsFile::read(folder.path() / "a");
  EXPECT_EQ(read.metadata(), (TensorMetadata{{"a", "b"}, {"format", "pt"}, {"z", "\\"}}));
  EXPECT_EQ(read.tensors().size(), tensors.size());
  for (const TensorData& tensor : tensors) {
    SCOPED_TRACE(tensor.name);
    const TensorData* found = read.find(tensor.name);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->type, tensor.type);
    EXPECT_EQ(found->shape, tensor.shape);
    EXPECT_EQ(found->bytes.all(), tensor.bytes.all());
  }
  // The order of the arguments does not matter, and the size of the header keeps the data aligned.
  std::reverse(tensors.begin(), tensors.end());
  write_safetensors(folder.path() / "b", tensors, {{"a", "b"}, {"z", "\\"}});
  EXPECT_EQ(read_text(folder.path() / "a"), read_text(folder.path() / "b"));
  const std::string text = read_text(folder.path() / "a");
  EXPECT_EQ(text.substr(8, 2), "{\"");
  // Wide types first, so that each tensor is aligned to its type.
  EXPECT_TRUE(contains(text, R"("doubles":{"dtype":"F64","shape":[3],"data_offsets":[0,24]})"));
  EXPECT_TRUE(contains(text, R"("octets":{"dtype":"U8","shape":[5],"data_offsets":[40,45]})"));
  EXPECT_EQ(make_safetensors(tensors).header.size() % 8, 0U);
}

TEST(Safetensors, BytesOnDiskAreTheFormats) {
  const std::vector<float> one = {1};
  const TensorData tensor{"w", StoredType::kF32, {1}, std::as_bytes(std::span(one))};
  const std::string json =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::size_t padded = (json.size() + 7) / 8 * 8;
  EXPECT_EQ(make_safetensors({&tensor, 1}).header,
            length_prefix(padded) + json + std::string(padded - json.size(), ' '));
}

TEST(Safetensors, WriterRejectsWhatReadersWould) {
  const std::vector<float> two = {1, 2};
  const auto bytes = std::as_bytes(std::span(two));
  const auto rejected = [](const TensorData& tensor) {
    return error_of<std::invalid_argument>([&] { make_safetensors({&tensor, 1}); });
  };
  EXPECT_EQ(rejected({"a", StoredType::kF32, {2}, bytes}), kFine);
  EXPECT_TRUE(contains(rejected({"a", StoredType::kF32, {3}, bytes}), "got 8 bytes, expected 12"));
  EXPECT_TRUE(contains(rejected({"a", StoredType::kF32, {-2}, bytes}), "a valid shape"));
  EXPECT_TRUE(contains(rejected({"a", StoredType::kF32, {1L << 62, 4}, {}}), "a valid shape"));
  EXPECT_TRUE(contains(rejected({"__metadata__", StoredType::kF32, {2}, bytes}), "reserved"));
  EXPECT_TRUE(contains(rejected({"\xFF", StoredType::kF32, {2}, bytes}), "UTF-8"));
  EXPECT_TRUE(contains(rejected({std::string("a\0", 2), StoredType::kF32, {2}, bytes}), "NUL"));
  EXPECT_TRUE(contains(rejected({std::string(5'000, 'a'), StoredType::kF32, {2}, bytes}), "4096"));
  EXPECT_NE(rejected({"a", StoredType::kF32, std::vector<std::int64_t>(65, 1), bytes.first(4)}),
            kFine);
  const TensorData a{"a", StoredType::kF32, {2}, bytes};
  EXPECT_TRUE(contains(error_of<std::invalid_argument>([&] {
                         make_safetensors(std::vector{a, a});
                       }),
                       "two tensors"));
  EXPECT_TRUE(contains(error_of<std::invalid_argument>([&] {
                         make_safetensors({&a, 1}, {{"k", "\xFF"}});
                       }),
                       "UTF-8"));
}

TEST(Safetensors, FilesThatCannotBeUsedAreNamed) {
  const TempFolder folder;
  EXPECT_TRUE(contains(error_of<std::runtime_error>(
                           [&] { SafetensorsFile::read(folder.path() / "no.safetensors"); }),
                       "no.safetensors: cannot be opened: No such file"));
  EXPECT_NE(error_of<std::runtime_error>([&] { SafetensorsFile::read(folder.path()); }), kFine);
  EXPECT_TRUE(contains(
      error_of<std::runtime_error>([&] { write_safetensors(folder.path() / "no" / "x", {}); }),
      "cannot be written"));
  EXPECT_TRUE(contains(error_of<std::runtime_error>([] {
                         const std::vector<std::byte> large(1 << 20);
                         const TensorData tensor{"a", StoredType::kU8, {1 << 20}, std::span(large)};
                         write_safetensors("/dev/full", {&tensor, 1});
                       }),
                       "cannot be written"));
}

}  // namespace
}  // namespace unroll::test

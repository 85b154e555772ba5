/// Byte-pair encodings against those of the PyPI package `tokenizers`, which
/// tests/golden/make_bpe.py wrote down, and files that are refused.
#include "host/data/bpe.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "host/base/utf8.h"
#include "host/data/bpe_encoder.h"
#include "host/data/bpe_file.h"
#include "host/data/bpe_training.h"
#include "host/data/tokenizer.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using nlohmann::json;
using TokenList = std::vector<std::int32_t>;

const json& bpe_goldens() {
  static const json value =
      json::parse(read_text(std::string(UNROLL_SOURCE_DIR) + "/tests/golden/bpe.json"));
  return value;
}

Tokenizer parse_bpe(const std::string& text) {
  return Tokenizer::parse(TokenizerKind::kBpe, text, "tokenizer.json");
}

TokenList encode_whole(const Tokenizer& tokenizer, std::string_view text) {
  TokenList ids;
  tokenizer.encode(TextSource(text, "text"), [&](std::span<const std::int32_t> piece) {
    ids.insert(ids.end(), piece.begin(), piece.end());
  });
  return ids;
}

TEST(Bpe, GivesTheIdsOfThePackage) {
  for (const json& made : bpe_goldens().at("tokenizers_made")) {
    SCOPED_TRACE(made.at("name"));
    const Tokenizer tokenizer = parse_bpe(made.at("file"));
    for (const json& entry : made.at("cases")) {
      const auto text = entry.at("text").get<std::string>();
      SCOPED_TRACE(in_quotes(text));
      const auto ids = entry.at("ids").get<TokenList>();
      EXPECT_EQ(tokenizer.encode(text), ids);
      EXPECT_EQ(encode_whole(tokenizer, text), ids);
      EXPECT_EQ(tokenizer.decode(ids), entry.at("decoded").get<std::string>());
    }
  }
}

TEST(Bpe, PiecesOfATextGiveTheSameIds) {
  std::string text;
  for (const json& entry : bpe_goldens().at("tokenizers_made")[0].at("cases"))
    text += entry.at("text").get<std::string>() + "\n";
  for (const json& made : bpe_goldens().at("tokenizers_made")) {
    SCOPED_TRACE(made.at("name"));
    const Tokenizer tokenizer = parse_bpe(made.at("file"));
    BpeEncoder whole(*tokenizer.bpe(), "text");
    whole.add(text);
    whole.finish();
    for (const int characters : {1, 2, 7}) {
      BpeEncoder pieces(*tokenizer.bpe(), "text");
      std::string_view rest = text;
      while (!rest.empty()) {
        const std::string_view before = rest;
        for (int k = 0; k < characters && !rest.empty(); ++k) take_code_point(rest);
        pieces.add(before.substr(0, before.size() - rest.size()));
      }
      pieces.finish();
      EXPECT_EQ(pieces.output().ids, whole.output().ids) << characters;
      EXPECT_EQ(pieces.output().unknown, whole.output().unknown) << characters;
    }
  }
}

TEST(Bpe, LearnsTheMergesOfThePackage) {
  const json& trained = bpe_goldens().at("trained");
  const BpeParts parts =
      train_bpe(TextSource(bpe_goldens().at("text").get_ref<const std::string&>(), "text"), 500);
  EXPECT_EQ(parts.tokens, trained.at("tokens").get<std::vector<std::string>>());
  std::vector<std::string> merges;
  for (const BpeParts::Merge& merge : parts.merges) {
    merges.push_back(parts.tokens[std::size_t(merge.left)] + " " +
                     parts.tokens[std::size_t(merge.right)]);
    EXPECT_EQ(parts.tokens[std::size_t(merge.result)],
              parts.tokens[std::size_t(merge.left)] + parts.tokens[std::size_t(merge.right)]);
  }
  EXPECT_EQ(merges, trained.at("merges").get<std::vector<std::string>>());
}

TEST(Bpe, OfEquallyFrequentPairsTheSmallerIdsMergeFirst) {
  const BpeParts parts = train_bpe(TextSource("cd\nab\ncd\nab\n", "text"), 257);
  EXPECT_EQ(parts.tokens.back(), "ab");
}

TEST(Bpe, WhatIsLearntIsWrittenAndReadBack) {
  const std::string text = bpe_goldens().at("text").get<std::string>();
  const Tokenizer learnt =
      Tokenizer::build(TokenizerKind::kBpe, TextSource(text, "text"), {.max_size = 400});
  EXPECT_EQ(learnt.size(), 400);
  EXPECT_EQ(learnt.kind(), TokenizerKind::kBpe);
  EXPECT_EQ(learnt.unk(), std::nullopt);
  EXPECT_EQ(learnt.text(learnt.start()), "\n");
  EXPECT_EQ(learnt.label(learnt.start()), "\\n");
  const Tokenizer read = parse_bpe(learnt.vocabulary_text());
  EXPECT_EQ(read.vocabulary_text(), learnt.vocabulary_text());
  EXPECT_EQ(read.encode(text), learnt.encode(text));
  EXPECT_LT(read.encode(text).size(), text.size() * 2 / 3);
  EXPECT_EQ(read.decode(read.encode(text)), text);
  EXPECT_EQ(read.find(" the"), learnt.find(" the"));
  ASSERT_TRUE(read.find(" the").has_value());
  EXPECT_EQ(read.text(*read.find(" the")), " the");
  EXPECT_THROW(read.text(400), std::invalid_argument);
  // A short text has only so many pairs.
  EXPECT_EQ(Tokenizer::build(TokenizerKind::kBpe, TextSource("abab\n", "text"), {}).size(), 258);
}

TEST(Bpe, EveryCharacterComesBack) {
  std::string text;
  for (char32_t code = 1; code < 0x110000; ++code)
    if (code < 0xD800 || code > 0xDFFF) text += utf8_of(code);
  const Tokenizer bytes = parse_bpe(bpe_goldens().at("tokenizers_made")[0].at("file"));
  TokenList ids;
  const TextStatistics statistics =
      bytes.encode(TextSource(text, "text"), [&](std::span<const std::int32_t> piece) {
        ids.insert(ids.end(), piece.begin(), piece.end());
      });
  EXPECT_TRUE(bytes.decode(ids) == text);
  EXPECT_EQ(statistics.unknown, 0);
  EXPECT_EQ(statistics.tokens, std::int64_t(ids.size()));
}

TEST(Bpe, UnknownCharactersAreCountedAndTold) {
  const Tokenizer characters = parse_bpe(bpe_goldens().at("tokenizers_made")[5].at("file"));
  ASSERT_TRUE(characters.unk().has_value());
  std::vector<std::string> unknown;
  const TokenList ids = characters.encode(
      "the \u4E00\u4E01 the", [&](std::string_view token) { unknown.emplace_back(token); });
  EXPECT_EQ(unknown, (std::vector<std::string>{"\u4E00\u4E01"}));
  EXPECT_EQ(std::ranges::count(ids, *characters.unk()), 1);
  const TextStatistics statistics =
      characters.encode(TextSource("the \u4E00\u4E01 the", "text"), [](auto) {});
  EXPECT_EQ(statistics.unknown, 1);
}

// Without a token for each byte or an unknown one, what has no token is left out, and counted.
TEST(Bpe, WhatHasNoTokenIsLeftOutAndCounted) {
  const Tokenizer few =
      parse_bpe(R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
  EXPECT_EQ(few.encode("abcb"), (TokenList{2, 1}));
  EXPECT_EQ(few.encode(TextSource("abcb", "text"), [](auto) {}).unknown, 1);
  EXPECT_EQ(few.start(), 0);
}

TEST(Bpe, ThreadsShareAnEncoding) {
  const std::string text = bpe_goldens().at("text").get<std::string>();
  const Tokenizer tokenizer = parse_bpe(bpe_goldens().at("tokenizers_made")[0].at("file"));
  const TokenList expected = tokenizer.encode(text);
  std::vector<TokenList> got(4);
  std::vector<std::thread> threads;
  for (TokenList& ids : got)
    threads.emplace_back([&] {
      for (int k = 0; k < 20; ++k) ids = tokenizer.encode(text);
    });
  for (std::thread& thread : threads) thread.join();
  for (const TokenList& ids : got) EXPECT_EQ(ids, expected);
}

TEST(Bpe, RefusesAWordThatFillsTheMemory) {
  const Tokenizer tokenizer = parse_bpe(bpe_goldens().at("tokenizers_made")[0].at("file"));
  const std::string error = error_of<std::runtime_error>(
      [&] { tokenizer.encode(std::string(WordStream::kLongestWord + 1, 'a')); });
  EXPECT_EQ(error,
            "text: got more than 16777216 bytes without a place to cut, expected shorter words");
  // Ten million letters are long, and still a word.
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(std::string(1 << 20, 'a'))),
            std::string(1 << 20, 'a'));
}

TEST(Bpe, TrainingRefusesSizesAndTexts) {
  EXPECT_EQ(error_of<std::invalid_argument>([] { train_bpe(TextSource("ab", "text"), 256); }),
            "256 tokens of byte pairs, expected 257 to 1000000");
  EXPECT_TRUE(contains(error_of<std::runtime_error>([] { train_bpe(TextSource("", "text"), 300); }),
                       "text: is empty"));
  EXPECT_TRUE(
      contains(error_of<std::runtime_error>([] { train_bpe(TextSource("a\xFF", "text"), 300); }),
               "byte offset 1: got byte 0xFF"));
}

/// A file that is read, with `changed` merged into it.
std::string file_with(const json& changed) {
  json file = {
      {"added_tokens", json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}}};
  file.merge_patch(changed);
  return file.dump();
}

TEST(Bpe, RefusesWhatItCannotApply) {
  EXPECT_EQ(error_of<std::runtime_error>([] { parse_bpe(file_with(json::object())); }),
            "no exception");
  const json metaspace = {{"type", "Metaspace"}, {"replacement", "_"}};
  const auto added = [](json fields) {
    json token = {{"id", 3}, {"content", "<x>"}};
    token.update(fields);
    return json{{"added_tokens", {token}}};
  };
  const auto model = [](json fields) { return json{{"model", std::move(fields)}}; };
  const std::pair<json, std::string> cases[] = {
      {{{"pre_tokenizer", {{"type", "Whitespace"}}}},
       "pre_tokenizer: got 'Whitespace', expected ByteLevel, Metaspace, or Split and ByteLevel in "
       "a Sequence"},
      {{{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", 3}}}},
       "pretokenizers: got something else, expected an array"},
      {{{"pre_tokenizer",
         {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"},
             {"pattern", {{"Regex", "\\w+"}}},
             {"behavior", "Isolated"},
             {"invert", false}},
            {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}}},
       "pattern: got '\\w+', expected that of GPT-2, Llama 3 or Qwen 2"},
      {{{"pre_tokenizer", metaspace}, {"decoder", nullptr}},
       "replacement: got '_', expected U+2581"},
      {{{"normalizer", {{"type", "Precompiled"}}}}, "normalizer: got 'Precompiled', expected NFC"},
      {{{"decoder", {{"type", "WordPiece"}}}}, "decoder: got 'WordPiece', expected ByteLevel"},
      {model({{"type", "WordPiece"}}), "model: type: got 'WordPiece', expected BPE"},
      {model({{"dropout", 0.1}}), "model: dropout: got 0.1, expected none"},
      {model({{"end_of_word_suffix", "</w>"}}), "end_of_word_suffix: got '</w>', expected none"},
      {model({{"continuing_subword_prefix", "##"}}),
       "continuing_subword_prefix: got '##', expected none"},
      {model({{"unk_token", "<unk>"}}), "unk_token: got '<unk>', expected one of vocab"},
      {model({{"merges", {"a c"}}}), "merges: number 1: got 'c', expected a token of vocab"},
      {model({{"merges", {"b a"}}}), "merges: number 1: got 'ba', expected a token of vocab"},
      {model({{"merges", json::array({"a b", "ab"})}}),
       "merges: number 2: got 'ab', expected two tokens"},
      {model({{"merges", {"a  b"}}}), "merges: number 1: got 'a  b', expected two tokens"},
      {model({{"merges", json::array({json::array({"a", ""})})}}),
       "merges: number 1: got something else"},
      {model({{"merges", json::array({json::array({"a"})})}}),
       "merges: number 1: got something else"},
      {model({{"merges", 7}}), "merges: got something else, expected an array"},
      {model({{"merges", nullptr}}), "merges is missing"},
      {model({{"vocab", {{"ab", 4}}}}),
       "got 3 tokens and none with the id 2, expected ids without a gap"},
      {model({{"vocab", {{"ab", 1}}}}), "got the id 1 for"},
      {model({{"vocab", {{"ab", -1}}}}), "ab: got -1, expected a whole number"},
      {model({{"vocab", {{"ab", 1e300}}}}), "ab: got 1e+300, expected a whole number"},
      {model({{"vocab", {{"", 3}}}}), "got an empty token"},
      {added({{"lstrip", true}}), "lstrip: got true, expected false"},
      {added({{"single_word", true}}), "single_word: got true, expected false"},
      {added({{"content", ""}}), "content: got 0 bytes, expected 1 to 1024"},
      {added({{"content", std::string(1025, 'x')}}), "content: got 1025 bytes"},
      {added({{"content", "ab"}}), "id: got 3, expected 2, as 'ab' has in vocab"},
      {added({{"id", 2}}), "got the id 2 for"},
      {added({{"id", 2147483648}}), "id: got 2147483648, expected a whole number"},
  };
  for (const auto& [changed, expected] : cases) {
    const std::string error =
        error_of<std::runtime_error>([&, &file = changed] { parse_bpe(file_with(file)); });
    EXPECT_TRUE(contains(error, expected)) << changed;
    EXPECT_TRUE(error.starts_with("tokenizer.json: ")) << error;
    EXPECT_EQ(error.find('\n'), error.npos) << error;
  }
  const json fallback = {
      {"pre_tokenizer", nullptr}, {"decoder", nullptr}, {"model", {{"byte_fallback", true}}}};
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { parse_bpe(file_with(fallback)); }),
                       "byte_fallback: got no token <0x00>, expected one for each byte"));
}

TEST(Bpe, RefusesHostileFiles) {
  const auto error = [](const std::string& text) {
    return error_of<std::runtime_error>([&] { parse_bpe(text); });
  };
  EXPECT_TRUE(contains(error(""), "is empty, expected JSON"));
  EXPECT_TRUE(contains(error("{}"), "model is missing"));
  EXPECT_TRUE(contains(error("[1]"), "expected an object"));
  EXPECT_TRUE(contains(error(std::string(100'000, '[')), "nested deeper"));
  EXPECT_TRUE(contains(error(R"({"model": {"vocab": {"a": 0, "a": 0}}})"), "twice"));
  EXPECT_TRUE(contains(error(std::string(std::size_t(kMostTokenizerBytes) + 1, ' ')),
                       "got 67108865 bytes, expected at most 67108864"));
  std::string sequence = "null";
  for (int k = 0; k < 10; ++k)
    sequence = R"({"type": "Sequence", "normalizers": [)" + sequence + "]}";
  EXPECT_TRUE(contains(error(R"({"normalizer": )" + sequence + "}"), "normalizer: got 'Sequence'"));
}

}  // namespace
}  // namespace unroll::test
